"""What the papers print, to stand beside what is measured here, with what speaks against it."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, model_validator

from ultrares.errors import OptionError

FILE = Path(__file__).with_name("published.toml")


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PublishedTable(_Section):
    """A table of a paper, or the part of one that shows one data set."""

    id: str
    """How plans call it."""
    paper: str
    """Which paper."""
    where: str
    """Which of its tables or sections."""
    title: str
    """What it shows."""
    columns: tuple[str, ...]
    """What its columns hold: metrics, where ``scale`` is said, or scales, where ``metric`` is."""
    scale: float | None = None
    """The scale of all its figures."""
    metric: str | None = None
    """The metric of all its figures."""
    rows: dict[str, tuple[float, ...]] = {}
    """Its figures by method; not-a-number where our copy of the paper cannot be read."""
    warnings: tuple[str, ...] = ()
    """Why its numbers cannot be right, or compared."""

    def meaning(self, column: str) -> tuple[str, float] | None:
        """The metric and the scale of a column, in our words, if it has both."""
        if self.metric is not None:
            return self.metric, float(column.lstrip("x").rstrip("*"))
        return None if self.scale is None else (column.lower(), self.scale)

    @model_validator(mode="after")
    def _is_a_table(self) -> Self:
        for name, numbers in self.rows.items():
            if len(numbers) != len(self.columns):
                raise ValueError(
                    f"{self.id}: {name} has {len(numbers)} figures of {len(self.columns)}"
                )
        return self


class _Shelf(_Section):
    table: tuple[PublishedTable, ...]


@cache
def published_tables() -> dict[str, PublishedTable]:
    """All published tables by their ids."""
    with FILE.open("rb") as file:
        shelf = _Shelf.model_validate(tomllib.load(file))
    return {table.id: table for table in shelf.table}


def published(ids: Sequence[str]) -> list[PublishedTable]:
    """The tables of some ids, in their order.

    Raises:
        OptionError: There is none of an id.
    """
    known = published_tables()
    for each in ids:
        if each not in known:
            raise OptionError(
                f"no published table is called {each!r}: choose of {', '.join(known)}"
            )
    return [known[each] for each in ids]
