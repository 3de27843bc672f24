"""The exact projection: fine pixels whose block means are the coarse pixels, to the last integer."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]

CHUNK = 1 << 19
"""Fine pixels that are projected at once; bounds the memory of the intermediate arrays."""

FARTHEST = 2.0**36
"""Largest deviation of integers that is considered: float64 adds 128 * 128 of them to less than one."""

BISECTIONS = 64


def project_blocks(
    fine: np.ndarray,
    coarse: np.ndarray,
    factor: int,
    *,
    low: float,
    high: float,
    forbidden: float | None = None,
) -> np.ndarray:
    """Move fine pixels as little as possible until every block's mean is its coarse pixel.

    Each block is shifted by one number, found by bisection where the range clips it; integers are then
    rounded by the largest remainder, so that their sum is ``factor**2`` times the coarse pixel exactly.
    Computing in deviations from the coarse pixel keeps 64-bit integers exact. Blocks whose coarse pixel
    is not finite, outside the range, or ``forbidden`` repeat it.

    Args:
        fine: Shape (C, factor * h, factor * w), any floating type; what is not finite counts as equal to
            its coarse pixel.
        coarse: Shape (C, h, w), any integer or floating type.
        factor: Fine pixels per coarse pixel along one side.
        low: Smallest value to return.
        high: Largest value to return.
        forbidden: A value that must not be returned, because it means "no data".

    Returns:
        Shape of ``fine``, type of ``coarse``. For integers the block sums are exact; for floats the means
        agree to the rounding of the type.
    """
    bands, rows, cols = coarse.shape
    assert fine.shape == (bands, factor * rows, factor * cols)
    result = np.empty(fine.shape, dtype=coarse.dtype)
    step = max(1, CHUNK // max(1, cols * factor * factor))
    for band in range(bands):
        for top in range(0, rows, step):
            part = slice(top, min(top + step, rows))
            lines = slice(part.start * factor, part.stop * factor)
            blocks = _to_blocks(fine[band, lines], factor)
            done = _project(blocks, coarse[band, part].reshape(-1), low, high, forbidden)
            result[band, lines] = _from_blocks(done, part.stop - part.start, cols, factor)
    return result


def _to_blocks(image: np.ndarray, factor: int) -> Doubles:
    """(h * f, w * f) to (h * w, f * f), float64."""
    rows, cols = image.shape[0] // factor, image.shape[1] // factor
    blocks = image.reshape(rows, factor, cols, factor).swapaxes(1, 2)
    return blocks.reshape(rows * cols, factor * factor).astype(np.float64)


def _from_blocks(blocks: np.ndarray, rows: int, cols: int, factor: int) -> np.ndarray:
    image = blocks.reshape(rows, cols, factor, factor).swapaxes(1, 2)
    return image.reshape(rows * factor, cols * factor)


def _project(
    blocks: Doubles, coarse: np.ndarray, low: float, high: float, forbidden: float | None
) -> np.ndarray:
    """Project blocks (N, n) onto coarse pixels (N,)."""
    whole = np.issubdtype(coarse.dtype, np.integer)
    low, high, forbidden = _tighten(low, high, forbidden, whole=whole)
    usable = np.isfinite(coarse) & (coarse >= low) & (coarse <= high)
    if forbidden is not None:
        usable &= coarse != forbidden
    centre = np.where(usable, coarse, 0).astype(np.float64)[:, None]
    with np.errstate(over="ignore"):
        deviation = np.where(np.isfinite(blocks) & usable[:, None], blocks, centre) - centre
    # Sums of deviations must neither lose units nor overflow.
    farthest = 2 * FARTHEST if whole else np.finfo(np.float64).max / (4 * blocks.shape[1])
    deviation = deviation.clip(-farthest, farthest)
    if whole:
        deviation = _balance(deviation, *_room(coarse, usable, low, high))
        result = _add(coarse, _round_to_zero_sum(deviation))
        if forbidden is not None:
            _avoid(result, usable, low, high, forbidden)
        return result
    result = _project_floats(centre, deviation, coarse.dtype, low, high)
    result[~usable] = coarse[~usable, None]
    if forbidden is not None:
        hit = (result == forbidden) & usable[:, None]
        result[hit] = np.nextafter(result[hit], coarse.dtype.type(np.inf))
    return result


def _project_floats(
    centre: Doubles, deviation: Doubles, dtype: np.dtype, low: float, high: float
) -> np.ndarray:
    """Centres (N, 1) plus balanced deviations (N, n); one pixel takes what rounding left of the sum."""
    limits = np.finfo(dtype)
    low, high = max(low, float(limits.min)), min(high, float(limits.max))
    with np.errstate(over="ignore"):
        below, above = low - centre, high - centre
    deviation = _balance(deviation, below, above)
    result = (centre + deviation).astype(dtype)
    left_over = (result.astype(np.float64) - centre).sum(axis=1)
    # The pixel farthest from the ends of the range has room to take it.
    with np.errstate(over="ignore"):
        place = np.minimum(deviation - below, above - deviation).argmax(axis=1)
    every = np.arange(len(result))
    settled = (result[every, place].astype(np.float64) - left_over).clip(low, high)
    result[every, place] = settled.astype(dtype)
    return result


def _tighten(
    low: float, high: float, forbidden: float | None, *, whole: bool
) -> tuple[float, float, float | None]:
    """A forbidden end of an integer range is no part of it."""
    if whole and forbidden is not None:
        if forbidden == low:
            return low + 1, high, None
        if forbidden == high:
            return low, high - 1, None
    return low, high, forbidden


def _room(
    coarse: np.ndarray, usable: np.ndarray, low: float, high: float
) -> tuple[Doubles, Doubles]:
    """How far below and above each integer coarse pixel its block may reach, (N, 1) each."""
    # Differences of 64-bit integers may not fit their type, but as unsigned words they are right.
    words = coarse.astype(np.uint64) if coarse.dtype.itemsize == 8 else coarse.astype(np.int64)
    words = words.view(np.uint64)
    below = (words - np.uint64(int(low) & (2**64 - 1))).astype(np.float64)
    above = (np.uint64(int(high) & (2**64 - 1)) - words).astype(np.float64)
    below, above = (np.where(usable, np.minimum(room, FARTHEST), 0.0) for room in (below, above))
    return -below[:, None], above[:, None]


def _balance(deviation: Doubles, below: Doubles, above: Doubles) -> Doubles:
    """Shift each row by one number and clip it to its range, so that it sums to zero."""
    shifted = deviation - deviation.mean(axis=1, keepdims=True)
    clipped = ((shifted < below) | (shifted > above)).any(axis=1)
    if not clipped.any():
        return shifted
    rows, low, high = shifted[clipped], below[clipped], above[clipped]
    # The range holds zero: shifted this far, no deviation is above or none below it.
    left = -rows.max(axis=1, keepdims=True)
    right = -rows.min(axis=1, keepdims=True)
    for _ in range(BISECTIONS):
        middle = (left + right) / 2
        too_high = np.clip(rows + middle, low, high).sum(axis=1, keepdims=True) > 0
        right = np.where(too_high, middle, right)
        left = np.where(too_high, left, middle)
    shifted[clipped] = np.clip(rows + left, low, high)
    return shifted


def _round_to_zero_sum(deviation: Doubles) -> NDArray[np.int64]:
    """Round rows that sum to zero to integers that do, by the largest remainder; ties by position."""
    floor = np.floor(deviation)
    missing = -floor.sum(axis=1).astype(np.int64)
    order = np.argsort(floor - deviation, axis=1, kind="stable")
    raised = np.empty(deviation.shape, dtype=bool)
    chosen = np.arange(deviation.shape[1])[None, :] < missing[:, None]
    np.put_along_axis(raised, order, chosen, axis=1)
    return floor.astype(np.int64) + raised


def _add(coarse: np.ndarray, counts: NDArray[np.int64]) -> np.ndarray:
    if coarse.dtype.itemsize == 8:
        # Wrapping sums of words are exact, whatever the sign.
        words = coarse.view(np.uint64)[:, None] + counts.view(np.uint64)
        return words.view(coarse.dtype)
    return (coarse.astype(np.int64)[:, None] + counts).astype(coarse.dtype)


def _avoid(
    result: np.ndarray, usable: np.ndarray, low: float, high: float, forbidden: float
) -> None:
    """Nudge integers off a forbidden value within their range, keeping each block's sum."""
    hits = (result == forbidden) & usable[:, None]
    for block in np.flatnonzero(hits.any(axis=1)):
        row = [int(value) for value in result[block]]
        _avoid_in_block(row, int(low), int(high), int(forbidden))
        result[block] = row


def _avoid_in_block(row: list[int], low: int, high: int, forbidden: int) -> None:
    """Pairs of hits part ways; a last one pushes a neighbour that has room."""
    hits = [place for place, value in enumerate(row) if value == forbidden]
    while len(hits) > 1:
        row[hits.pop()] += 1
        row[hits.pop()] -= 1
    for hit in hits:
        for step in (1, -1):
            partner = next(
                (
                    place
                    for place, value in enumerate(row)
                    if place != hit and value - step != forbidden and low <= value - step <= high
                ),
                None,
            )
            if partner is not None:
                row[hit] += step
                row[partner] -= step
                break
