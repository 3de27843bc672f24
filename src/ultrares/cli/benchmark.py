"""``ultrares benchmark``: the tables and figures of the papers, measured here."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from ultrares.cli.console import complain, say, say_json
from ultrares.cli.options import AsJson


def benchmark(
    plan: Annotated[
        str, typer.Argument(metavar="PLAN", help="A TOML plan, or the name of a known one.")
    ],
    *,
    data: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the data sets.")],
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder of the results; benchmark/PLAN if not given."),
    ] = None,
    models: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of more models, each in its own.")
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="What LPIPS and NIQE need; DIR/metrics of --data if it is there."
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Only the first images of each data set.")
    ] = None,
    scales: Annotated[
        str | None, typer.Option(help="Only these scales of the plan, separated by commas.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Measure a plan and write results.csv and report.html; a stopped run goes on where it was."""
    from ultrares.benchmark.command import benchmark as measure
    from ultrares.cli.progress import progress_on_stderr

    started, chosen = time.monotonic(), None if scales is None else parse_scales(scales)
    try:
        with progress_on_stderr("measuring", cells) as progress:
            outcome = measure(
                plan,
                data,
                out,
                models=models,
                weights=weights,
                limit=limit,
                scales=chosen,
                progress=progress,
            )
    except KeyboardInterrupt:
        complain("stopped; the same command goes on where it was")
        raise
    if json:
        say_json(outcome.as_dict() | {"seconds": round(time.monotonic() - started, 1)})
        return
    for answer in outcome.answers:
        say(answer)
    say(
        f"{outcome.report}  {outcome.done} measured, {outcome.kept} kept, {outcome.failed} not run, "
        f"{time.monotonic() - started:.0f} s"
    )


def cells(speed: float) -> str:
    """A speed in cells of the tables a second."""
    return f"{speed:.2f} cells/s"


def parse_scales(text: str) -> tuple[float, ...]:
    """Turn ``"4,8,16"`` into numbers.

    Raises:
        typer.BadParameter: One is no number.
    """
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise typer.BadParameter(f"--scales {text!r} are no numbers, such as 4,8,16") from error
