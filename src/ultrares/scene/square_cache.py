"""Finished squares of an output grid, kept while their neighbours are made."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import numpy as np

from ultrares.scene.tile import Layer
from ultrares.scene.windows import tiles
from ultrares.types import Shape, Window

SIDE = 512
"""Output pixels that are finished at once, on the absolute output grid: sums of products may differ in the
last bit with the number of rows, so what is summed together must not depend on what was asked for."""

CACHE = 128 << 20
"""Bytes of squares that are kept."""


def square_at(row: int, col: int, shape: Shape) -> Window:
    """The square that an output pixel lies in."""
    return Window(row // SIDE * SIDE, col // SIDE * SIDE, SIDE, SIDE).clipped(shape)


class SquareCache:
    """Any window of an output, put together from its squares.

    Args:
        make: Makes a square's pixels and validity.
        shape: Of the output.
    """

    def __init__(self, make: Callable[[Window], Layer], shape: Shape) -> None:
        self._make, self._shape = make, shape
        self._cache: OrderedDict[Window, Layer] = OrderedDict()
        self._cached = 0

    def at(self, square: Window) -> Layer:
        """A square's pixels and validity."""
        if square in self._cache:
            self._cache.move_to_end(square)
            return self._cache[square]
        made = Layer(*(np.ascontiguousarray(half) for half in self._make(square)))
        self._cache[square] = made
        self._cached += made.pixels.nbytes + made.valid.nbytes
        while self._cached > CACHE and len(self._cache) > 1:
            gone = self._cache.popitem(last=False)[1]
            self._cached -= gone.pixels.nbytes + gone.valid.nbytes
        return made

    def forget(self) -> None:
        """Drop what is kept."""
        self._cache.clear()
        self._cached = 0

    def read(self, window: Window) -> Layer:
        """Pixels and validity of a window inside the output, both (C, h, w)."""
        result: Layer | None = None
        for part in tiles(window, SIDE):
            square = square_at(part.row, part.col, self._shape)
            made = self.at(square)
            if result is None:
                size = (made.pixels.shape[0], window.height, window.width)
                result = Layer(np.empty(size, made.pixels.dtype), np.empty(size, dtype=bool))
            into, out = _slices(part, window), _slices(part, square)
            for ours, theirs in zip(result, made, strict=True):
                ours[into] = theirs[out]
        assert result is not None
        return result


def _slices(inner: Window, outer: Window) -> tuple[slice, slice, slice]:
    top, left = inner.row - outer.row, inner.col - outer.col
    return slice(None), slice(top, top + inner.height), slice(left, left + inner.width)
