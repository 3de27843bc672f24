"""``ultrares models``: the models that can be named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from ultrares.cli.console import say, say_json
from ultrares.cli.options import AsJson
from ultrares.cli.start import quick_start

if TYPE_CHECKING:
    from ultrares.reports import ModelInfo

_HEADINGS = ("name", "method", "scales", "bands", "parameters", "licence", "trained on", "intact")


def models(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[MODEL]...", help="Only these: names, files, folders or hub ids."),
    ] = None,
    *,
    where: Annotated[
        bool, typer.Option("--where", help="Show their folders, and where models are looked for.")
    ] = False,
    json: AsJson = False,
) -> None:
    """List the models, what they were trained on, and whether they are on this machine."""
    with quick_start():
        from ultrares import api

    known = api.models(*(names or ()))
    if json:
        say_json([asdict(model) for model in known])
        return
    if where:
        _say_where(known)
    else:
        _say_table([_HEADINGS, *(_row(model) for model in known)])


def _say_table(rows: Sequence[tuple[str, ...]]) -> None:
    """Write rows whose columns are aligned."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        say("  ".join(cells).rstrip())


def _say_where(known: list[ModelInfo]) -> None:
    """Write where the models are, and the folders that names are looked up in."""
    from ultrares.methods.shelves import shelves

    _say_table([("name", "folder"), *((model.name, _place(model)) for model in known)])
    say("\nlooked for in")
    looked = [
        (str(shelf.folder), shelf.words, "" if shelf.folder.is_dir() else "does not exist")
        for shelf in shelves()
    ]
    _say_table(looked)


def _place(model: ModelInfo) -> str:
    """Where a model's weights are, in a word."""
    return model.path or ("none needed" if model.present else "no weights yet")


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
