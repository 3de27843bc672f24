"""Images read beside their pixels: cubic convolution, to the same bits whatever window is read."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

REACH = 2
"""Pixels beyond a displacement that are looked at."""


def displaced(
    pixels: NDArray[np.float32],
    valid: NDArray[np.bool_],
    corner: tuple[int, int],
    displacement: NDArray[np.float64],
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Read an image beside its pixels (Keys, 1981: "Cubic convolution interpolation").

    Args:
        pixels: The image, (C, H, W). Its edge pixels are repeated.
        valid: Where it is valid, (H, W).
        corner: Row and column of its pixel that the first of the result would be without displacement.
        displacement: How much further down and to the right each pixel of the result lies, (2, h, w).

    Returns:
        The result, (C, h, w), and where no pixel that it is made of is missing, (h, w).
    """
    # Whole steps and parts of one apart: a sum with the place would round them differently in another window.
    steps = np.floor(displacement)
    rows, cols = (_weights(part) for part in (displacement - steps))
    places = [
        start + step.astype(np.intp) + np.expand_dims(np.arange(step.shape[axis]), 1 - axis)
        for axis, (start, step) in enumerate(zip(corner, steps, strict=True))
    ]
    height, width = valid.shape
    flat, seen = pixels.reshape(len(pixels), -1), valid.ravel()
    result = np.zeros((len(pixels), *displacement.shape[1:]), dtype=np.float32)
    whole = np.ones(displacement.shape[1:], dtype=bool)
    for row, row_weight in enumerate(rows, start=-1):
        first = np.clip(places[0] + row, 0, height - 1) * width
        along = np.zeros_like(result)
        for col, col_weight in enumerate(cols, start=-1):
            index = first + np.clip(places[1] + col, 0, width - 1)
            along += col_weight * np.take(flat, index, axis=1)
            whole &= np.take(seen, index) | (row_weight == 0) | (col_weight == 0)
        result += row_weight * along
    return result, whole


def _weights(part: NDArray[np.float64]) -> list[NDArray[np.float32]]:
    """What the four pixels around a place count, ``part`` of a pixel behind the second."""
    square, cube = part * part, part * part * part
    return [
        weight.astype(np.float32)
        for weight in (
            -0.5 * cube + square - 0.5 * part,
            1.5 * cube - 2.5 * square + 1,
            -1.5 * cube + 2 * square + 0.5 * part,
            0.5 * cube - 0.5 * square,
        )
    ]
