"""The step from a pyramid's finest level to an output grid of any scale, computed cell by cell."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ultrares.scene.pyramid import Pyramid
from ultrares.scene.target_grid import TargetGrid
from ultrares.scene.windows import union
from ultrares.types import GridCell, GridUpscaler, Origin, Shape, Window

SURVEYED, SURVEY_SIDE = 8, 256
"""Squares of the output that integrals are gathered over at most, spread evenly, and their side in pixels. An
integral is a mean, and so many places determine it; a scene of any size is surveyed in bounded time. They are
not the cells, whose size may change with the number of draws."""


class GridStage:
    """An output grid's pixels, computed where they are looked at.

    Cells are squares of output pixels on the absolute output grid, each computed alone, so a pixel does
    not depend on the window it is asked for with.

    Args:
        pyramid: Its finest level is what is resampled.
        upscaler: How.
        grid: Where the output pixels lie on the scene.
        cache_bytes: What computed cells may keep; affects time only.
        integrals: What :meth:`integrals` returned elsewhere; None to gather them when they are needed.
    """

    def __init__(
        self,
        pyramid: Pyramid,
        upscaler: GridUpscaler,
        grid: TargetGrid,
        *,
        cache_bytes: int = 128 << 20,
        integrals: Sequence[Tensor] | None = None,
    ) -> None:
        self._pyramid = pyramid
        self._upscaler = upscaler
        self._grid = grid
        self._integrals = None if integrals is None else list(integrals)
        self._cache: OrderedDict[tuple[int, int], Tensor] = OrderedDict()
        self._cached, self._cache_bytes = 0, cache_bytes
        self._last: tuple[Window, GridCell] | None = None

    @property
    def shape(self) -> Shape:
        """Height and width of the output."""
        return Shape(self._grid.rows.size, self._grid.cols.size)

    def scene(self, window: Window) -> NDArray[np.float32]:
        """The normalised scene, (L, h, w), its gaps filled; outside it is mirrored."""
        pixels: NDArray[np.float32] = self._pyramid.read(0, window)[0].numpy()
        return pixels

    def forget(self) -> None:
        """Drop what is kept, and keep half as much from now on; integrals stay."""
        self._last = None
        self._pyramid.forget()
        self._cache.clear()
        self._cached, self._cache_bytes = 0, self._cache_bytes // 2

    @torch.inference_mode()
    def read(self, window: Window) -> NDArray[np.float32]:
        """Output pixels of a window inside the output, (N, C, h, w), in [0, 1] and a little beyond."""
        side = self._upscaler.core
        bottom, right = window.row + window.height, window.col + window.width
        result: Tensor | None = None
        for row in range(window.row // side, -(-bottom // side)):
            for col in range(window.col // side, -(-right // side)):
                core, cell = self._core(row, col), self._cell(row, col)
                if result is None:
                    result = cell.new_empty(*cell.shape[:2], window.height, window.width)
                part = _intersection(core, window).clipped(self.shape)
                result[..., _slice(part.row, part.height, window.row), :][
                    ..., _slice(part.col, part.width, window.col)
                ] = cell[
                    ...,
                    _slice(part.row, part.height, core.row),
                    _slice(part.col, part.width, core.col),
                ]
        assert result is not None
        fine: NDArray[np.float32] = result.numpy()
        return fine

    def needs(self, window: Window) -> Window:
        """The scene pixels that a window inside the output depends on, its integrals apart."""
        side = self._upscaler.core
        bottom, right = window.row + window.height - 1, window.col + window.width - 1
        first, last = (
            self._needed(self._window(self._core(row // side, col // side)))
            for row, col in ((window.row, window.col), (bottom, right))
        )
        return union(first, last)

    def surveyed(self) -> list[Window]:
        """The scene pixels that each of the squares needs that integrals are gathered over."""
        if self._upscaler.passes == 0:
            return []
        return [self._needed(core) for core in self._surveyed()]

    @torch.inference_mode()
    def integrals(self) -> list[Tensor]:
        """The integrals over the output, gathered in as many passes as there are, in a fixed order."""
        if self._integrals is None:
            self._integrals = []
            for _ in range(self._upscaler.passes):
                total, count = torch.zeros((), dtype=torch.float64), 0
                for core in self._surveyed():
                    products = self._upscaler.products(self._seen(core), self._integrals)
                    total = total + products.double().cpu()
                    count += core.height * core.width
                self._integrals.append((total / count).float())
        return self._integrals

    def _core(self, row: int, col: int) -> Window:
        side = self._upscaler.core
        return Window(row * side, col * side, side, side).clipped(self.shape)

    def _cell(self, row: int, col: int) -> Tensor:
        key = (row, col)
        if key in self._cache:
            self._cache.move_to_end(key)
            return self._cache[key]
        core = self._core(row, col)
        window = self._window(core)
        fine = self._upscaler(self._seen(window), self.integrals())
        inner = (
            ...,
            _slice(core.row, core.height, window.row),
            _slice(core.col, core.width, window.col),
        )
        result = fine[inner].float().cpu().clone()
        self._cache[key] = result
        self._cached += result.nbytes
        while self._cached > self._cache_bytes and len(self._cache) > 1:
            self._cached -= self._cache.popitem(last=False)[1].nbytes
        return result

    def _window(self, core: Window) -> Window:
        """A cell's core with its margin, on the multiples that the upscaler asks for."""
        multiple, margin = self._upscaler.multiple_of, self._upscaler.margin
        row, height = _span(core.row, core.height, self.shape.height, margin, multiple)
        col, width = _span(core.col, core.width, self.shape.width, margin, multiple)
        return Window(row, col, height, width)

    def _seen(self, window: Window) -> GridCell:
        """The pixels of the finest level that a window of the output is made from.

        The last one is kept: a scene of one cell is seen once for each integral and once for its result.
        """
        if self._last is not None and self._last[0] == window:
            return self._last[1]
        rows, cols, place = self._place(window)
        image = self._pyramid.read(self._pyramid.top, place)
        corner = Origin(window.row, window.col)
        cell = GridCell(image, rows - place.row, cols - place.col, corner)
        self._last = window, cell
        return cell

    def _place(self, window: Window) -> tuple[NDArray[np.float64], NDArray[np.float64], Window]:
        """Edges of output pixels on the finest level, and that level's pixels around them."""
        top = self._pyramid.top
        factor, shape = self._pyramid.factor(top), self._pyramid.shape(top)
        rows = self._grid.rows.edges(window.row, window.height) * factor
        cols = self._grid.cols.edges(window.col, window.width) * factor
        return rows, cols, _around(rows, cols, self._upscaler.halo).clipped(shape)

    def _needed(self, window: Window) -> Window:
        return self._pyramid.needs(self._pyramid.top, self._place(window)[2])

    def _surveyed(self) -> Iterator[Window]:
        """The squares that are surveyed: all, or a lattice of them."""
        rows, cols = (-(-length // SURVEY_SIDE) for length in self.shape)
        step = math.ceil(math.sqrt(rows * cols / SURVEYED))
        for row in range(min(step // 2, rows - 1), rows, step):
            for col in range(min(step // 2, cols - 1), cols, step):
                square = Window(row * SURVEY_SIDE, col * SURVEY_SIDE, SURVEY_SIDE, SURVEY_SIDE)
                yield square.clipped(self.shape)


def _around(rows: NDArray[np.float64], cols: NDArray[np.float64], halo: int) -> Window:
    """The whole pixels that edges enclose, and those around them."""
    top, left = (math.floor(edges[0]) - halo for edges in (rows, cols))
    bottom, right = (math.ceil(edges[-1]) + halo for edges in (rows, cols))
    return Window(top, left, bottom - top, right - left)


def _span(start: int, length: int, size: int, margin: int, multiple: int) -> tuple[int, int]:
    first = max(0, start - margin) // multiple * multiple
    stop = -(-min(size, start + length + margin) // multiple) * multiple
    return first, stop - first


def _intersection(one: Window, other: Window) -> Window:
    return (
        Window(one.row - other.row, one.col - other.col, one.height, one.width)
        .clipped(Shape(other.height, other.width))
        ._replace(row=max(one.row, other.row), col=max(one.col, other.col))
    )


def _slice(start: int, length: int, origin: int) -> slice:
    return slice(start - origin, start - origin + length)
