"""``ultrares upscale``: a scene in, a finer scene out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ultrares.cli.console import say, say_json
from ultrares.cli.options import (
    AsJson,
    Bounds,
    InputPath,
    OutputPath,
    Overwrite,
    parse_bounds,
)
from ultrares.types import Mode

if TYPE_CHECKING:
    from ultrares.reports import UpscaleReport


def upscale(  # noqa: PLR0913 - a command's options are its interface
    source: InputPath,
    target: OutputPath,
    *,
    scale: Annotated[
        float | None,
        typer.Option(help="Output pixels per input pixel, along one side: any number to 128."),
    ] = None,
    gsd: Annotated[
        float | None,
        typer.Option(metavar="SIZE", help="Or the size of an output pixel, in units of the CRS."),
    ] = None,
    like: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Or a raster whose grid the output shall lie on."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="A name from `ultrares models`, a folder, a hub id, or another network's file."
        ),
    ] = None,
    reference: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="A finer image of the same place, to learn details from."
        ),
    ] = None,
    mode: Annotated[
        Mode, typer.Option(help="The most probable scene, or one with drawn detail.")
    ] = "fidelity",
    draws: Annotated[int, typer.Option(min=1, help="Samples to average in perceptual mode.")] = 1,
    uncertainty: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also write the standard deviation of the draws."),
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Diffusion steps of each level.")] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same file.")] = 0,
    sensor: Annotated[
        str, typer.Option(help="How a pixel gathers light: box, bicubic or mtf:VALUE.")
    ] = "box",
    tile: Annotated[
        int | None, typer.Option(min=1, help="Output pixels a side that are written at once.")
    ] = None,
    memory: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Memory to stay within, like 4GB.")
    ] = None,
    aoi: Annotated[
        Bounds | None,
        typer.Option(
            parser=parse_bounds,
            metavar='"LEFT BOTTOM RIGHT TOP"',
            help="The part of the scene to upscale, in the units of its CRS.",
        ),
    ] = None,
    overwrite: Overwrite = False,
    restart: Annotated[
        bool, typer.Option("--restart", help="Throw away what an earlier run left unfinished.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Make a scene finer; its block means stay those of the input."""
    if sum(given is not None for given in (scale, gsd, like)) != 1:
        raise typer.BadParameter("pass exactly one of --scale, --gsd and --like")
    from ultrares import api
    from ultrares.cli.progress import progress_on_stderr
    from ultrares.cli.stopping import stopping_between_tiles

    with progress_on_stderr("upscaling") as shown, stopping_between_tiles(shown) as progress:
        report = api.upscale_scene(
            source,
            target,
            scale=scale,
            gsd=gsd,
            like=like,
            model=model,
            reference=reference,
            mode=mode,
            draws=draws,
            uncertainty=uncertainty,
            steps=steps,
            seed=seed,
            sensor=sensor,
            tile=tile,
            memory=memory,
            aoi=aoi,
            overwrite=overwrite,
            restart=restart,
            progress=progress,
        )
    if json:
        say_json(report.to_dict())
    else:
        say(summary(report, source))


def summary(report: UpscaleReport, source: Path) -> str:
    """The one line that says what was written."""
    exact_integers = report.radiometry.endswith("exact") and "int" in report.dtype
    radiometry = report.radiometry + (" (0 DN)" if exact_integers else "")
    bands = "1 band" if report.bands == 1 else f"{report.bands} bands"
    return (
        f"{report.target}  {report.width} x {report.height} px, {bands} {report.dtype}, "
        f"x{report.scale:.6g} of {source.name}, {radiometry}, {_other_files(report)}COG, "
        f"{report.seconds:.1f} s"
    )


def _other_files(report: UpscaleReport) -> str:
    """What was read and written besides the scene and the result."""
    text = ""
    if report.moved > 1e-6:
        text += f"edges moved by {report.moved:.3g} input pixels at most, "
    if report.reference is not None and report.reference_shift is not None:
        rows, cols = report.reference_shift
        text += f"details from {report.reference} moved by {rows:+.2f} rows {cols:+.2f} columns, "
    if report.uncertainty is not None:
        text += f"standard deviation of {report.draws} draws in {report.uncertainty}, "
    return text
