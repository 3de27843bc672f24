"""A table on disk that is written row by row, so that a run that was stopped can go on with it."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from pathlib import Path

from ultrares.errors import OutputError


class Ledger:
    """A CSV file of rows, each of which outlives the process once it is appended.

    Half a line that a killed run left at the end is removed.

    Args:
        path: The file; None keeps nothing.
        head: Names of the columns.

    Attributes:
        rows: What earlier runs wrote, by column, in order.

    Raises:
        OutputError: The file cannot be read or written, or has other columns.
    """

    def __init__(self, path: Path | None, head: Sequence[str]) -> None:
        self._path, self._head = path, list(head)
        self.rows: list[dict[str, str]] = []
        if path is not None:
            self._begin(path)

    def append(self, cells: Sequence[object]) -> None:
        """Write a row so that it outlives the process.

        Raises:
            OutputError: The disk is full or gone.
        """
        if self._path is None:
            return
        line = io.StringIO(newline="")
        csv.writer(line, lineterminator="\n").writerow(cells)
        try:
            with self._path.open("a", encoding="utf-8", newline="") as file:
                # a sentence must not break the line, or half of it could be taken for a row
                file.write(" ".join(line.getvalue().splitlines()) + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise OutputError(f"{self._path} cannot be written: {error.strerror}") from error

    def _begin(self, path: Path) -> None:
        try:
            text = path.read_text(encoding="utf-8") if path.exists() else ""
            # A run that was killed may have left half a line, which says nothing.
            whole = text[: text.rfind("\n") + 1]
            if whole != text:
                os.truncate(path, len(whole.encode()))
        except (OSError, UnicodeDecodeError) as error:
            raise OutputError(f"{path} cannot be read as a table: {error}") from error
        if not whole:
            self.append(self._head)
            return
        head, *lines = csv.reader(io.StringIO(whole, newline=""))
        if head != self._head:
            raise OutputError(
                f"{path} is no table of these metrics: choose another file, or remove it"
            )
        self.rows = [dict(zip(self._head, line, strict=False)) for line in lines]
