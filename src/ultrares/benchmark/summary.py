"""What many cells say together."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from ultrares.benchmark.results import Result

SPEED = "cpu_seconds"
"""The figure that is no metric: processor seconds a case."""

Place = tuple[str, str, float]
"""Data set, image and scale."""


@dataclass(frozen=True)
class Mean:
    """A mean over images.

    Attributes:
        value: The mean; not-a-number where no image has the figure.
        count: Number of images.
    """

    value: float
    count: int


@dataclass(frozen=True)
class Summary:
    """Rows, to be asked for means; those without figures have no part in any.

    Attributes:
        rows: The rows.
    """

    rows: Sequence[Result]

    def where(self, keep: Callable[[Result], bool]) -> Summary:
        """Only some rows."""
        return Summary([row for row in self.rows if keep(row)])

    @property
    def measured(self) -> list[Result]:
        """The rows with figures."""
        return [row for row in self.rows if not row.problem]

    @property
    def scales(self) -> list[float]:
        """The scales of rows with figures, in order."""
        return sorted({row.key.scale for row in self.measured})

    @property
    def images(self) -> int:
        """Number of images with figures."""
        return len({(row.key.data, row.key.image) for row in self.measured})

    def mean(self, label: str, metric: str, scale: float | None = None) -> Mean:
        """The mean of a figure over all images of a label, at one scale or over all of them."""
        found = [
            figure(row, metric)
            for row in self.measured
            if row.key.label == label and scale in (None, row.key.scale)
        ]
        return mean(found)

    def by_place(self, label: str, metric: str) -> dict[Place, float]:
        """A figure of a label by data set, image and scale, where it is defined."""
        values = {
            (row.key.data, row.key.image, row.key.scale): figure(row, metric)
            for row in self.measured
            if row.key.label == label
        }
        return {place: value for place, value in values.items() if math.isfinite(value)}


def figure(row: Result, metric: str) -> float:
    """A figure of a row; not-a-number where it has none."""
    return row.cpu_seconds if metric == SPEED else row.values.get(metric, math.nan)


def mean(values: Iterable[float]) -> Mean:
    """The mean of the values that are numbers."""
    found = [value for value in values if not math.isnan(value)]
    return Mean(math.fsum(found) / len(found) if found else math.nan, len(found))
