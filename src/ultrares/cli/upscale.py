"""``ultrares upscale``: a scene in, a finer scene out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ultrares.cli.console import say, say_json
from ultrares.cli.options import (
    Area,
    AsJson,
    Asset,
    Bands,
    Device,
    Draws,
    EvidencePath,
    Gsd,
    InputPath,
    Like,
    Memory,
    ModelName,
    ModeName,
    OutputPath,
    Overwrite,
    PrecisionName,
    ReferencePath,
    Scale,
    Seed,
    Sensor,
    Steps,
    Subdataset,
    TileSide,
    UncertaintyPath,
    parse_bands,
)
from ultrares.cli.start import quick_start

if TYPE_CHECKING:
    from ultrares.reports import UpscaleReport


def upscale(  # noqa: PLR0913 - a command's options are its interface
    source: InputPath,
    target: OutputPath,
    *,
    scale: Scale = None,
    gsd: Gsd = None,
    like: Like = None,
    model: ModelName = None,
    reference: ReferencePath = None,
    mode: ModeName = "fidelity",
    draws: Draws = 1,
    uncertainty: UncertaintyPath = None,
    evidence: EvidencePath = None,
    steps: Steps = None,
    seed: Seed = 0,
    sensor: Sensor = "box",
    tile: TileSide = None,
    memory: Memory = None,
    precision: PrecisionName = "auto",
    device: Device = None,
    aoi: Area = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Let so many processes make the tiles; one for each GPU."),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Let a dask.distributed cluster do it, like tcp://127.0.0.1:8786.",
        ),
    ] = None,
    asset: Asset = None,
    stac: Annotated[
        bool, typer.Option("--stac", help="Also write a STAC item, NAME.json beside OUT.")
    ] = False,
    subdataset: Subdataset = None,
    bands: Bands = None,
    overwrite: Overwrite = False,
    restart: Annotated[
        bool, typer.Option("--restart", help="Throw away what an earlier run left unfinished.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Make a scene finer; its block means stay those of the input."""
    if sum(given is not None for given in (scale, gsd, like)) != 1:
        raise typer.BadParameter("pass exactly one of --scale, --gsd and --like")
    with quick_start():
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
            evidence=evidence,
            steps=steps,
            seed=seed,
            sensor=sensor,
            tile=tile,
            memory=memory,
            precision=precision,
            device=device,
            aoi=aoi,
            workers=workers,
            scheduler=scheduler,
            asset=asset,
            stac=stac,
            subdataset=subdataset,
            bands=parse_bands(bands),
            overwrite=overwrite,
            restart=restart,
            progress=progress,
        )
    if json:
        say_json(report.to_dict())
    else:
        say(summary(report, source))


def summary(report: UpscaleReport, source: str) -> str:
    """The one line that says what was written."""
    exact_integers = report.radiometry.endswith("exact") and "int" in report.dtype
    from ultrares.scene.names import short_name

    radiometry = report.radiometry + (" (0 DN)" if exact_integers else "")
    bands = "1 band" if report.bands == 1 else f"{report.bands} bands"
    return (
        f"{report.target}  {report.width} x {report.height} px, {bands} {report.dtype}, "
        f"x{report.scale:.6g} of {short_name(source)}, {radiometry}, {_other_files(report)}{_form(report.target)}, "
        f"{report.seconds:.1f} s"
    )


def _form(target: str) -> str:
    return "Zarr" if Path(target).suffix.lower() == ".zarr" else "COG"


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
    if report.evidence is not None:
        text += f"evidence in {report.evidence}, "
    if report.stac is not None:
        text += f"STAC item {report.stac}, "
    return text
