"""``ultrares models``: the models that can be named."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from ultrares.cli.console import say, say_json
from ultrares.cli.options import AsJson

if TYPE_CHECKING:
    from ultrares.reports import ModelInfo

_HEADINGS = ("name", "method", "scales", "bands", "parameters", "licence", "trained on", "intact")


def models(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[MODEL]...", help="Only these: names, files, folders or hub ids."),
    ] = None,
    *,
    json: AsJson = False,
) -> None:
    """List the models, what they were trained on, and whether they are on this machine."""
    from ultrares import api

    known = api.models(*(names or ()))
    if json:
        say_json([asdict(model) for model in known])
        return
    rows = [_HEADINGS, *(_row(model) for model in known)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        say("  ".join(cells).rstrip())


def _row(model: ModelInfo) -> tuple[str, ...]:
    """The cells of a model's line, in the order of the headings."""
    return (
        model.name,
        model.method,
        model.scales,
        model.bands,
        _in_millions(model.parameters),
        model.licence,
        model.trained_on,
        "yes" if model.present else "no",
    )


def _in_millions(count: int | None) -> str:
    """A number of parameters, short: 1.2 M, 350 k or the number itself."""
    if count is None:
        return "unknown"
    if count >= 1_000_000:
        return f"{count / 1e6:.1f} M"
    return f"{count / 1e3:.0f} k" if count >= 1000 else str(count)
