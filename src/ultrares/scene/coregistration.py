"""How far a reference lies beside its scene: phase correlation on a few windows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float64]

SMALLEST = 32
"""Side below which a window shows too little to tell a shift from chance, in scene pixels."""

UPSAMPLING = 20
"""Shifts are found to this fraction of a scene pixel."""

GAIN, LEAST_CORRELATION, AGREEMENT, LEAST_SHIFT = 0.02, 0.3, 0.5, 0.1
"""What makes a shift believable: how much it must raise the correlation of details, and to what; how far
windows may differ, in pixels; and what is too little to matter."""


class Shift(NamedTuple):
    """Where a reference's content lies, relative to the scene's, in scene pixels.

    Attributes:
        rows: Downwards.
        cols: To the right.
        correlation: Of the details of scene and reference once the shift is undone; not-a-number where neither
            shows any.
    """

    rows: float
    cols: float
    correlation: float


def find_shift(
    windows: Sequence[tuple[Image, Image]], *, gain: float = GAIN, least: float = LEAST_SHIFT
) -> Shift:
    """Estimate the shift of a reference from windows (scene, reference), each (h, w).

    The median of what the windows say, where they agree and undoing it makes details agree better; else
    no shift.

    Args:
        windows: Scene and reference, on one grid.
        gain: How much undoing a shift must raise the correlation of details.
        least: What is too little to matter, in pixels.
    """
    usable = [pair for pair in windows if min(pair[0].shape) >= SMALLEST and _shows(*pair)]
    if not usable:
        return Shift(0.0, 0.0, _mean_correlation(windows, (0.0, 0.0)))
    found = np.array([_phase_shift(*pair) for pair in usable])
    middle = np.median(found, axis=0)
    still = _mean_correlation(usable, (0.0, 0.0))
    agree = np.median(np.abs(found - middle), axis=0).max() <= AGREEMENT
    if not agree or np.abs(middle).max() < least:
        return Shift(0.0, 0.0, still)
    rows, cols = (float(value) for value in middle)
    moved = _mean_correlation(usable, (rows, cols))
    if moved < max(still + gain, LEAST_CORRELATION):
        return Shift(0.0, 0.0, still)
    return Shift(rows, cols, moved)


def whole_parts(valid: NDArray[np.bool_]) -> list[tuple[slice, slice]]:
    """The parts of a window (h, w) where all is valid: the window itself, or the largest of its halves, quarters and so on.

    Parts that show too little are left out; a window that is whole is not.
    """
    parts = [(slice(0, valid.shape[0]), slice(0, valid.shape[1]))]
    if valid.all():
        return parts
    while True:
        # A long window is halved along its length first.
        sides = [part.stop - part.start for part in parts[0]]
        halved = [side // 2 if side == max(sides) else side for side in sides]
        if min(halved) < SMALLEST:
            return []
        parts = [
            (slice(top, top + halved[0]), slice(left, left + halved[1]))
            for rows, cols in parts
            for top in range(rows.start, rows.stop - halved[0] + 1, halved[0])
            for left in range(cols.start, cols.stop - halved[1] + 1, halved[1])
        ]
        if whole := [part for part in parts if valid[part].all()]:
            return whole


def large_enough(windows: Sequence[tuple[Image, Image]], pixels: int) -> list[tuple[Image, Image]]:
    """The windows without those of a quarter of the largest or less, unless so many pixels are not seen without them."""
    kept: list[tuple[Image, Image]] = []
    seen = largest = 0
    for pair in sorted(windows, key=lambda pair: -pair[0].size):
        size = pair[0].size
        # Each window has one vote, and a small one is easily wrong.
        if seen >= pixels and 4 * size <= largest:
            break
        kept.append(pair)
        seen, largest = seen + size, max(largest, size)
    return kept


def _shows(scene: Image, reference: Image) -> bool:
    return bool(scene.std() > 1e-6 and reference.std() > 1e-6)


def _phase_shift(scene: Image, reference: Image) -> tuple[float, float]:
    from skimage.registration import phase_cross_correlation

    # What must be done to the reference to make it lie on the scene, hence the sign.
    shift = phase_cross_correlation(  # type: ignore[no-untyped-call]
        _details(scene), _details(reference), upsample_factor=UPSAMPLING, normalization=None
    )[0]
    return -float(shift[0]), -float(shift[1])


def _mean_correlation(windows: Sequence[tuple[Image, Image]], shift: tuple[float, float]) -> float:
    from scipy.ndimage import shift as move

    values = []
    for scene, reference in windows:
        there = move(reference, (-shift[0], -shift[1]), order=3, mode="nearest")
        margin = min(4, min(scene.shape) // 4)
        inner = (slice(margin, -margin or None),) * 2
        one, other = _details(scene)[inner], _details(there)[inner]
        power = float((one**2).sum() * (other**2).sum())
        if power > 0:
            values.append(float((one * other).sum()) / power**0.5)
    return float(np.mean(values)) if values else float("nan")


def _details(image: Image) -> Image:
    from scipy.ndimage import gaussian_filter

    return image - gaussian_filter(image, 2.0, mode="nearest")
