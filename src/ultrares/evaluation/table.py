"""The figures of many images as a file that a stopped run goes on with."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ultrares.errors import OutputError
from ultrares.evaluation.ledger import Ledger
from ultrares.metrics.scores import plain


@dataclass(frozen=True)
class Row:
    """The figures of one image.

    Attributes:
        name: The image.
        stamp: Sizes and times of its files, which tell whether they have changed since.
        values: Figures by name; a name may be missing.
        pixels: Number of pixels that were compared.
        notes: What a reader should know, sentences in one line.
        problem: Why there are no figures; empty if there are.
    """

    name: str
    stamp: str
    values: dict[str, float] = field(default_factory=dict)
    pixels: int = 0
    notes: str = ""
    problem: str = ""


class Table:
    """A CSV file of rows, one an image, written as they come and read back by the next run.

    Args:
        path: The file; None keeps nothing.
        columns: Names of the figures, in order.
        settings: What the figures depend on besides the files, in words.

    Raises:
        OutputError: The file cannot be read or written, is no such table, or was made with other settings.
    """

    def __init__(self, path: str | Path | None, columns: Sequence[str], settings: str) -> None:
        self._columns, self._settings = tuple(columns), settings
        head = ["name", "settings", "stamp", "pixels", *columns, "notes", "problem"]
        self._ledger = Ledger(None if path is None else Path(path), head)
        self._known: dict[str, Row] = {}
        try:
            for cells in self._ledger.rows:
                self._keep(path, cells)
        except (ValueError, KeyError) as error:
            raise OutputError(
                f"{path} has a line that is no row of figures ({error}): choose another file, or remove it"
            ) from error

    def known(self, name: str, stamp: str) -> Row | None:
        """The row of an earlier run, if the files are still the same and it had no problem."""
        row = self._known.get(name)
        return row if row is not None and row.stamp == stamp and not row.problem else None

    def append(self, row: Row) -> None:
        """Write a row so that it outlives the process.

        Raises:
            OutputError: The disk is full or gone.
        """
        figures = [_written(row.values.get(column)) for column in self._columns]
        cells = [row.name, self._settings, row.stamp, row.pixels, *figures, row.notes, row.problem]
        self._ledger.append(cells)

    def _keep(self, path: str | Path | None, cells: dict[str, str]) -> None:
        if cells.get("settings") != self._settings:
            raise OutputError(
                f"{path} was made with other settings ({cells.get('settings')}): choose another file, "
                "or remove it"
            )
        values = {name: _read(cells[name]) for name in self._columns if cells.get(name)}
        self._known[cells["name"]] = Row(
            name=cells["name"],
            stamp=cells.get("stamp", ""),
            values=values,
            pixels=int(cells.get("pixels", "0")),
            notes=cells.get("notes", ""),
            problem=cells.get("problem", ""),
        )


def _written(value: float | None) -> str:
    """A figure with all its digits; nothing for none, ``nan`` where it is not defined."""
    if value is None:
        return ""
    return "nan" if math.isnan(value) else str(plain(value))


def _read(text: str) -> float:
    return float(text)
