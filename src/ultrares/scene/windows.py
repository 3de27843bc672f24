"""Which pixels: mirrored positions outside a scene, and tiles that cover a window."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ultrares.types import Shape, Window


def mirror(start: int, length: int, size: int) -> NDArray[np.intp]:
    """Positions ``start`` to ``start + length`` reflected into an axis of ``size`` pixels.

    The mirror stands on the scene's edge, so the edge pixel is repeated (numpy's ``symmetric``): then an
    image and a finer one of the same scene are mirrored to the same places, which a mirror on the edge
    pixel's centre would not do. Any distance outside is allowed.
    """
    phase = np.arange(start, start + length) % (2 * size)
    return np.minimum(phase, 2 * size - 1 - phase)


def bounding(indices: NDArray[np.intp]) -> tuple[int, int]:
    """First position and number of positions that cover all of some indices."""
    first = int(indices.min())
    return first, int(indices.max()) - first + 1


def tiles(window: Window, side: int) -> Iterator[Window]:
    """Cut a window along the absolute grid of squares of ``side`` pixels, row by row.

    No tile is empty and together they cover the window once.
    """
    for top, rows in _pieces(window.row, window.height, side):
        for left, cols in _pieces(window.col, window.width, side):
            yield Window(top, left, rows, cols)


def _pieces(start: int, length: int, side: int) -> Iterator[tuple[int, int]]:
    stop = start + length
    while start < stop:
        upper = min((start // side + 1) * side, stop)
        yield start, upper - start
        start = upper


def whole(shape: Shape) -> Window:
    """The window of a whole image."""
    return Window(0, 0, *shape)


def inside(window: Window, shape: Shape) -> bool:
    """Whether no pixel of a window lies outside an image."""
    return (
        min(window) >= 0
        and window.row + window.height <= shape.height
        and window.col + window.width <= shape.width
    )


def union(one: Window, other: Window) -> Window:
    """The smallest window around two."""
    top, left = min(one.row, other.row), min(one.col, other.col)
    bottom = max(one.row + one.height, other.row + other.height)
    right = max(one.col + one.width, other.col + other.width)
    return Window(top, left, bottom - top, right - left)


def shared(one: Window, other: Window) -> int:
    """How many pixels two windows share."""
    sides = (
        min(first + length, second + size) - max(first, second)
        for first, length, second, size in (
            (one.row, one.height, other.row, other.height),
            (one.col, one.width, other.col, other.width),
        )
    )
    return math.prod(max(0, side) for side in sides)


def mirrored_inside(window: Window, shape: Shape) -> Window:
    """The smallest window inside an image around all pixels that a window shows, mirrored ones too."""
    row, height = bounding(mirror(window.row, window.height, shape.height))
    col, width = bounding(mirror(window.col, window.width, shape.width))
    return Window(row, col, height, width)
