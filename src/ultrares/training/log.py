"""The log of a training run: figures averaged over some steps, one row each, in a CSV file."""

from __future__ import annotations

import csv
import time
from pathlib import Path

HEADING = ("step", "seconds", "figure", "mean", "batches")


class FigureLog:
    """Averages figures and appends them to a CSV file, one row per figure.

    A figure need not be known at every step, which a table with one column per figure could not say.

    Args:
        path: Appended to. Rows after step ``done`` are of a run that was stopped; they are dropped, for
            they will come again.
        done: Steps that the run resumes from.
    """

    def __init__(self, path: Path, done: int) -> None:
        self._path = path
        self._forget_after(done)
        self._sums: dict[str, tuple[float, int]] = {}
        self._start = time.monotonic()

    def _forget_after(self, done: int) -> None:
        if not self._path.exists():
            return
        head, *rows = self._path.read_text().splitlines(keepends=True)
        kept = [row for row in rows if int(row.split(",", 1)[0]) <= done]
        staging = self._path.with_suffix(".part")
        staging.write_text("".join([head, *kept]))
        staging.replace(self._path)

    def add(self, figures: dict[str, float]) -> None:
        """Take the figures of one step."""
        for name, value in figures.items():
            total, count = self._sums.get(name, (0.0, 0))
            self._sums[name] = (total + value, count + 1)

    def flush(self, step: int) -> dict[str, float]:
        """Write the means since the last flush under a step's number, and return them."""
        means = {name: total / count for name, (total, count) in sorted(self._sums.items())}
        new = not self._path.exists()
        with self._path.open("a", newline="") as file:
            writer = csv.writer(file)
            if new:
                writer.writerow(HEADING)
            seconds = round(time.monotonic() - self._start)
            for name, mean in means.items():
                writer.writerow([step, seconds, name, f"{mean:.5f}", self._sums[name][1]])
        self._sums.clear()
        return means
