"""``ultrares evaluate``: how far is a result from the truth?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ultrares.cli.console import complain, say, say_json
from ultrares.cli.options import AsJson, parse_bands
from ultrares.cli.start import quick_start

if TYPE_CHECKING:
    from ultrares.evaluation.folders import FolderScores
    from ultrares.metrics.scores import Scores


def evaluate(  # noqa: PLR0913 - its options are what the figures depend on
    estimate: Annotated[
        Path, typer.Argument(metavar="SR", help="The result, or a folder of results.")
    ],
    truth: Annotated[
        Path, typer.Argument(metavar="HR", help="The truth, or a folder of the same names.")
    ],
    *,
    coarse: Annotated[
        Path | None,
        typer.Option(
            "--lr", help="What the result was made from, or a folder: adds lr_psnr, ergas."
        ),
    ] = None,
    metrics: Annotated[
        str | None,
        typer.Option(help="Names, separated by commas, such as psnr,ssim; all that can be had."),
    ] = None,
    sensor: Annotated[
        str | None,
        typer.Option(help="box, bicubic or mtf:VALUE; what the files say of it, else box."),
    ] = None,
    peak: Annotated[
        float | None,
        typer.Option(help="Largest value of the data; 255 for bytes, else the truth's range."),
    ] = None,
    scale: Annotated[
        float | None, typer.Option(help="Fine pixels per coarse pixel, for ergas without --lr.")
    ] = None,
    tile: Annotated[
        int | None, typer.Option(help="Side of the tiles that SR was computed in: adds seam.")
    ] = None,
    bands: Annotated[
        str | None,
        typer.Option(metavar="B,B,...", help="Which bands of HR those of SR are, as for degrade."),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(help="Folder of the weights: adds lpips and niqe; for fid and kid too."),
    ] = None,
    csv: Annotated[
        Path | None,
        typer.Option(help="For folders: a table of all images; a stopped run goes on with it."),
    ] = None,
    json: AsJson = False,
) -> None:
    """Compare a result with the truth, by metrics that say what they are.

    Rasters of any size are read part by part. Exits 1 when an image cannot be compared.
    """
    with quick_start():
        from ultrares import api
    from ultrares.cli.progress import images, megapixels, progress_on_stderr
    from ultrares.evaluation.folders import FolderScores

    speed = images if estimate.is_dir() else megapixels
    with progress_on_stderr("evaluating", speed) as progress:
        found = api.evaluate(
            estimate,
            truth,
            coarse,
            metrics=None if metrics is None else _names(metrics),
            sensor=sensor,
            peak=peak,
            scale=scale,
            tile=tile,
            bands=parse_bands(bands),
            weights=weights,
            csv=csv,
            progress=progress,
        )
    if json:
        say_json(found.as_dict())
    elif isinstance(found, FolderScores):
        _say_folder(found)
    else:
        _say_scores(found)
    problems = found.problems if isinstance(found, FolderScores) else ()
    for problem in problems:
        complain(problem)
    if problems:
        raise typer.Exit(1)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip().lower() for name in text.split(",") if name.strip())


def _say_scores(scores: Scores) -> None:
    _say_figures(scores.values, scores.definitions)
    say(f"over {scores.pixels} pixels, {scores.valid_share:.2%} of the image")
    for note in scores.notes:
        say(f"note: {note}")


def _say_figures(values: Mapping[str, float], definitions: Mapping[str, str]) -> None:
    """Names, values, units, which way is better, and what they mean, one a line."""
    from ultrares.metrics.definitions import DEFINITIONS

    lines = []
    for name, value in values.items():
        known = DEFINITIONS[name.partition("[")[0].partition("_band_")[0]]
        better = "" if known.better == "neither" else f"{known.better} is better"
        lines.append((name, figure(value), known.unit, better, definitions[name]))
    _say_table(lines)


def _say_folder(found: FolderScores) -> None:
    columns = list(found.means)
    if found.rows:
        body = [
            (row.name, *(figure(row.values.get(name)) for name in columns))
            for row in found.rows
            if not row.problem
        ]
        last = ("mean", *(figure(found.means[name]) for name in columns))
        _say_table([("image", *columns), *body, last])
    _say_figures(found.sets, found.definitions)
    for row in found.rows:
        if row.notes:
            say(f"note: {row.name}: {row.notes}")
    for note in found.notes:
        say(f"note: {note}")


def figure(value: float | None) -> str:
    """A figure with five digits that count; a dash where there is none."""
    return "-" if value is None or math.isnan(value) else f"{value:.5g}"


def _say_table(lines: Sequence[Sequence[str]]) -> None:
    """Lines of cells, the columns aligned."""
    if not lines:
        return
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = (f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True))
        say("  ".join(cells).rstrip())
