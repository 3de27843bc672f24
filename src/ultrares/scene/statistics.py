"""Least, greatest, mean and deviation of bands, exact and the same in whatever order pixels come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

AT_ONCE = 1 << 24
"""Values that are summed at once: so many halves of mantissas add up without rounding in float64."""


@dataclass(frozen=True)
class Statistics:
    """What a band's valid pixels are like.

    Attributes:
        minimum: Least valid value.
        maximum: Greatest valid value.
        mean: Mean of valid values, rounded once.
        stddev: Standard deviation, the sum of squares divided by the number of values.
        valid_percent: Share of pixels that are valid, 0 to 100.
    """

    minimum: float
    maximum: float
    mean: float
    stddev: float
    valid_percent: float

    def items(self) -> dict[str, str]:
        """The metadata items by which GDAL knows them."""
        return {f"STATISTICS_{name.upper()}": f"{value:.12g}" for name, value in vars(self).items()}


class Tally:
    """Statistics of one band that grow with every piece of it.

    Sums are kept exactly, so that they do not depend on how the band was cut into pieces.
    """

    def __init__(self) -> None:
        self._low, self._high = np.inf, -np.inf
        self._count = self._seen = 0
        self._sum = self._squares = Fraction(0)

    def add(self, pixels: np.ndarray, valid: np.ndarray) -> None:
        """Count pixels (h, w), of which those that are valid."""
        self._seen += pixels.size
        values = pixels[valid]
        if values.size == 0:
            return
        self._count += values.size
        self._low = min(self._low, values.min().item())
        self._high = max(self._high, values.max().item())
        if values.dtype.kind in "iu" and values.dtype.itemsize <= 2:
            whole = values.astype(np.int64)
            self._sum += int(whole.sum())
            self._squares += int((whole * whole).sum())
        else:
            self._sum += exact_sum(values.astype(np.float64))
            with np.errstate(over="ignore"):
                squares = np.square(values.astype(np.float64))
            self._squares += exact_sum(squares[np.isfinite(squares)])

    def merge(self, other: Tally) -> None:
        """Count what another tally has counted."""
        self._low, self._high = min(self._low, other._low), max(self._high, other._high)
        self._count, self._seen = self._count + other._count, self._seen + other._seen
        self._sum, self._squares = self._sum + other._sum, self._squares + other._squares

    def terms(self) -> list[Any]:
        """All that it has counted, exactly, as JSON can hold it."""
        sums = str(self._sum), str(self._squares)
        return [self._low, self._high, self._count, self._seen, *sums]

    @classmethod
    def of_terms(cls, terms: Sequence[Any]) -> Tally:
        """The tally that had these terms."""
        made = cls()
        made._low, made._high, made._count, made._seen = terms[:4]
        made._sum, made._squares = (Fraction(text) for text in terms[4:])
        return made

    def statistics(self) -> Statistics | None:
        """What was found; None if no pixel is valid."""
        if not self._count:
            return None
        mean = self._sum / self._count
        variance = self._squares / self._count - mean * mean
        return Statistics(
            self._low,
            self._high,
            float(mean),
            float(max(variance, Fraction(0))) ** 0.5,
            100 * self._count / self._seen,
        )


def tallies_of(terms: Sequence[Sequence[Any]]) -> list[Tally]:
    """The tallies, one a band, that had these terms."""
    return [Tally.of_terms(each) for each in terms]


def exact_sum(values: NDArray[np.float64]) -> Fraction:
    """The sum of finite numbers without any rounding.

    Every number is a 53-bit integer times a power of two; the halves of the integers are added by powers,
    which float64 does exactly for :data:`AT_ONCE` of them.
    """
    total = Fraction(0)
    for start in range(0, values.size, AT_ONCE):
        mantissas, exponents = np.frexp(values[start : start + AT_ONCE])
        integers = (mantissas * 2.0**53).astype(np.int64)
        least = int(exponents.min())
        places = exponents - least
        upper = np.bincount(places, weights=integers >> 26)
        lower = np.bincount(places, weights=integers & (2**26 - 1))
        whole = sum(
            ((int(high) << 26) + int(low)) << place
            for place, (high, low) in enumerate(zip(upper, lower, strict=True))
        )
        total += whole * Fraction(2) ** (least - 53)
    return total
