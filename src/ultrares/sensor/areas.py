"""The exact projection on grids whose pixels straddle the scene's: area-weighted means are kept.

On whole scales :mod:`ultrares.sensor.exact` is exact to the last integer. Here the output pixels are shared
between scene pixels, so the means are tied to each other: the least change that restores them all is found
by Chebyshev iteration, with a fixed number of steps, so that a pixel depends on a fixed neighbourhood.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]

PRECISION = 1e-5
"""What is left of a difference of means, where the range of the type does not stand in its way."""

MOST_STEPS = 48
DUAL_STEPS, EVEN_STEPS = 40, 8
"""Further steps where that left the range of the type: to where all means are kept, and then to where those that cannot
be miss as little as their neighbours."""

CAREFUL_STEPS = 16
"""The first of the dual's, after which those that are left have few neighbours that are."""

LEAST_ROOM, LEAST_ROOM_LATER = 0.1, 0.03
"""Share of a scene pixel's output pixels that can still change, below which they are not pushed harder."""


@dataclass(frozen=True)
class Plan:
    """How a grid's means are restored.

    Attributes:
        steps: Steps of the Chebyshev iteration.
        least: Smallest eigenvalue of the averages of back-projected means, which governs it.
    """

    steps: int
    least: float

    @property
    def reach(self) -> int:
        """Scene pixels around a pixel that its result depends on."""
        return self.steps + DUAL_STEPS + EVEN_STEPS


def plan(row_pitch: float, col_pitch: float) -> Plan:
    """The iteration for output pixels of these sizes, in scene pixels; both below 1."""
    least = _least_eigenvalue(row_pitch) * _least_eigenvalue(col_pitch)
    root = math.sqrt(least)
    rate = (1 - root) / (1 + root)
    steps = 1 if rate <= 0 else math.ceil(math.log(PRECISION / 2) / math.log(rate))
    return Plan(min(MOST_STEPS, max(1, steps)), least)


def shares(edges: Doubles, first: int, count: int) -> Doubles:
    """How much of each output pixel lies in each scene pixel along one axis, (count, len(edges) - 1).

    Args:
        edges: Of the output pixels, in scene pixels.
        first: Number of the first scene pixel.
        count: Number of scene pixels.
    """
    pixel = np.arange(first, first + count)[:, None]
    inner = np.minimum(edges[None, 1:], pixel + 1) - np.maximum(edges[None, :-1], pixel)
    return inner.clip(min=0)


class AreaMeans:
    """The area-weighted means of one band's output pixels over its scene pixels.

    Args:
        rows: :func:`shares` along the rows, (h, H).
        cols: :func:`shares` along the columns, (w, W).
        valid: Which output pixels count, (H, W).
    """

    def __init__(self, rows: Doubles, cols: Doubles, valid: NDArray[np.bool_]) -> None:
        self._rows, self._cols = rows, cols
        self._valid = valid.astype(np.float64)
        self._area = rows @ self._valid @ cols.T
        covered = np.outer(rows.sum(axis=0), cols.sum(axis=0))
        self._covered = np.where(covered > 0, covered, 1.0)

    def of(self, fine: Doubles) -> Doubles:
        """Means over each scene pixel (h, w) of output pixels (H, W); not-a-number where none counts."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return (self._rows @ (fine * self._valid) @ self._cols.T) / self._area

    def back(self, coarse: Doubles) -> Doubles:
        """Scene pixels (h, w) averaged over each output pixel (H, W), the means' own counterpart."""
        return self._valid * (self._rows.T @ coarse @ self._cols) / self._covered


def project_areas(
    fine: Doubles, coarse: Doubles, means: AreaMeans, how: Plan, low: float, high: float
) -> Doubles:
    """Move output pixels as little as possible until their area-weighted means are the scene's pixels.

    Args:
        fine: Shape (H, W); finite.
        coarse: Shape (h, w); not-a-number where there is nothing to keep.
        means: The means.
        how: From :func:`plan`.
        low: Smallest value to return.
        high: Largest value to return.

    Returns:
        Shape (H, W). Means agree to about 1e-5 of what was missing, except where a pixel at one end of
        the range shares an output pixel with one at the other end: both cannot be kept then.
    """
    usable = np.isfinite(coarse)
    centre, half = (1 + how.least) / 2, (1 - how.least) / 2
    change, rho = np.zeros_like(fine), 0.0
    for step in range(how.steps):
        correction = means.back(_missing(fine, coarse, means, usable))
        if step == 0 or half == 0:
            change = correction / centre
            rho = half / centre
        else:
            following = 1 / (2 * centre / half - rho) if half else 0.0
            change = following * rho * change + (2 * following / half) * correction
            rho = following
        fine = fine + change
    if fine.min() >= low and fine.max() <= high:
        return fine
    return _held_to_range(fine, coarse, means, low, high)


def _held_to_range(
    fine: Doubles, coarse: Doubles, means: AreaMeans, low: float, high: float
) -> Doubles:
    """The nearest output pixels within a range whose means are the scene's, by ascent of their dual.

    A multiplier for each scene pixel moves its output pixels, which the range then clips. It rises by what its mean
    still misses over the share of its pixels that are not clipped: with that diagonal, the system of those is stochastic. Nesterov's
    momentum begins anew where it overshoots (O'Donoghue and Candes, 2015), at each pixel for itself, so that none depends on
    places beyond its neighbourhood.
    """
    usable = np.isfinite(coarse)
    multipliers = ahead = np.zeros_like(coarse)
    pace = np.ones_like(coarse)
    held = fine.clip(low, high)
    for step in range(DUAL_STEPS):
        free = ((held > low) & (held < high)).astype(np.float64)
        room = np.nan_to_num(means.of(free))
        least = LEAST_ROOM if step < CAREFUL_STEPS else LEAST_ROOM_LATER
        risen = ahead + _missing(held, coarse, means, usable) / np.maximum(room, least)
        pace = np.where((ahead - risen) * (risen - multipliers) > 0, 1.0, pace)
        following = (1 + np.sqrt(1 + 4 * pace**2)) / 2
        ahead = risen + (pace - 1) / following * (risen - multipliers)
        multipliers, pace = risen, following
        held = (fine + means.back(ahead)).clip(low, high)
    # Multipliers of neighbours that cannot both be kept rise without end. Steps without a memory even out what they leave.
    for _ in range(EVEN_STEPS):
        missing = _missing(held, coarse, means, usable)
        with np.errstate(invalid="ignore"):
            below, above = (side.astype(np.float64) for side in (held < high, held > low))
            room = np.where(missing > 0, means.of(below), means.of(above))
        held = (held + means.back(missing / np.where(room > LEAST_ROOM, room, LEAST_ROOM))).clip(
            low, high
        )
    return held


def _missing(
    fine: Doubles, coarse: Doubles, means: AreaMeans, usable: NDArray[np.bool_]
) -> Doubles:
    found = means.of(fine)
    return np.where(usable & np.isfinite(found), coarse - found, 0.0)


def _least_eigenvalue(pitch: float) -> float:
    """Of the means of back-projected means along one axis, over enough pixels for all phases."""
    count = 64
    edges = np.arange(math.ceil(count / pitch) + 1, dtype=np.float64) * pitch
    rows = shares(edges, 0, count)
    matrix = rows / np.maximum(rows.sum(axis=0), 1e-12) @ rows.T / rows.sum(axis=1)[:, None]
    found = float(np.linalg.eigvals(matrix).real.min())
    return min(1.0, max(found, 1e-3))
