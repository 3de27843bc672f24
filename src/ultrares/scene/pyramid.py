"""The lazily evaluated pyramid: any window of any level, computed cell by cell."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ultrares.scene.radiometry import FILL_DISTANCE, Radiometry
from ultrares.scene.windows import bounding, clipped, mirror
from ultrares.types import Cell, Shape, Source, Upscaler, Window

DEFAULT_CACHE = 512 << 20


class Pyramid:
    """A scene and the levels above it, computed where and when they are looked at.

    Level 0 is the normalised scene, level i the result of ``levels[i - 1]``. Every level is computed in
    cells: squares of its input on the absolute grid, with the level's halo, always of full size and one
    at a time, mirrored where they leave the scene. So a pixel depends on its place alone, never on the
    window it is asked for with.

    Args:
        source: The scene.
        radiometry: Its range.
        levels: The cascade, from the scene up.
        cache_bytes: What computed cells may keep; affects time only.
    """

    def __init__(
        self,
        source: Source,
        radiometry: Radiometry,
        levels: Sequence[Upscaler],
        *,
        cache_bytes: int = DEFAULT_CACHE,
    ) -> None:
        self._source = source
        self._radiometry = radiometry
        self._levels = levels
        self._factors = [
            math.prod(level.scale for level in levels[:i]) for i in range(len(levels) + 1)
        ]
        self._cache: OrderedDict[tuple[int, int, int], Tensor] = OrderedDict()
        self._cached, self._cache_bytes = 0, cache_bytes

    @property
    def top(self) -> int:
        """Number of the finest level."""
        return len(self._levels)

    def factor(self, level: int) -> int:
        """Pixels of a level per pixel of the scene, along one side."""
        return self._factors[level]

    def shape(self, level: int) -> Shape:
        """Height and width of a level."""
        factor = self._factors[level]
        return Shape(factor * self._source.shape.height, factor * self._source.shape.width)

    @torch.inference_mode()
    def read(self, level: int, window: Window) -> Tensor:
        """Pixels of a window of a level, (1, C, h, w); outside the scene they are mirrored."""
        shape = self.shape(level)
        rows = mirror(window.row, window.height, shape.height)
        cols = mirror(window.col, window.width, shape.width)
        (row, height), (col, width) = bounding(rows), bounding(cols)
        inner = Window(row, col, height, width)
        pixels = self._scene(inner) if level == 0 else self._assemble(level, inner)
        if inner == window:
            return pixels
        pixels = pixels.index_select(-2, torch.from_numpy(rows - row).to(pixels.device))
        return pixels.index_select(-1, torch.from_numpy(cols - col).to(pixels.device))

    def _scene(self, window: Window) -> Tensor:
        """Normalise a window inside the scene; its gaps are filled from outside the window too."""
        array, valid = self._source.read(window)
        if valid[self._radiometry.lit].all():
            return self._radiometry.normalise(array, valid)
        # All that a fill can reach, or it would depend on where the window ends.
        wide = clipped(window.padded(FILL_DISTANCE), self._source.shape)
        top, left = window.row - wide.row, window.col - wide.col
        unit = self._radiometry.normalise(*self._source.read(wide))
        return unit[..., top : top + window.height, left : left + window.width]

    def _assemble(self, level: int, window: Window) -> Tensor:
        """Put a window that lies inside a level together from its cells."""
        upscaler = self._levels[level - 1]
        side = upscaler.core * upscaler.scale
        bottom, right = window.row + window.height, window.col + window.width
        bands = int(np.count_nonzero(self._radiometry.lit))
        result = torch.empty(1, bands, window.height, window.width)
        for row in range(window.row // side, -(-bottom // side)):
            for col in range(window.col // side, -(-right // side)):
                cell = self._cell(level, row, col)
                top, left = row * side, col * side
                rows = slice(max(top, window.row), min(top + cell.shape[-2], bottom))
                cols = slice(max(left, window.col), min(left + cell.shape[-1], right))
                result[
                    ...,
                    rows.start - window.row : rows.stop - window.row,
                    cols.start - window.col : cols.stop - window.col,
                ] = cell[
                    ..., rows.start - top : rows.stop - top, cols.start - left : cols.stop - left
                ]
        return result

    def _cell(self, level: int, row: int, col: int) -> Tensor:
        """A cell's core, cropped to the scene, from the cache or computed."""
        key = (level, row, col)
        if key in self._cache:
            self._cache.move_to_end(key)
            return self._cache[key]
        core = self._compute(level, row, col)
        self._cache[key] = core
        self._cached += core.nbytes
        while self._cached > self._cache_bytes and len(self._cache) > 1:
            self._cached -= self._cache.popitem(last=False)[1].nbytes
        return core

    def _compute(self, level: int, row: int, col: int) -> Tensor:
        upscaler, factor = self._levels[level - 1], self._factors[level - 1]
        halo = self._halo(upscaler, factor)
        core = Window(row * upscaler.core, col * upscaler.core, upscaler.core, upscaler.core)
        window = core.padded(halo)
        assert upscaler.size_rule.accepts(window.height, window.width), f"{upscaler} and {window}"
        image = self.read(level - 1, window)
        original, place = image, window
        margin = upscaler.original_margin
        if margin is not None:
            place = Window(*(value // factor for value in window)).padded(margin)
            original = self.read(0, place)
        fine = upscaler(Cell(image, window.origin, original, place.origin, factor))
        inner = core.scaled(upscaler.scale)
        start = halo * upscaler.scale
        shape = self.shape(level)
        height = min(inner.height, shape.height - inner.row)
        width = min(inner.width, shape.width - inner.col)
        # A copy, so that the cache does not keep the halo alive.
        return fine[..., start : start + height, start : start + width].float().cpu().clone()

    @staticmethod
    def _halo(upscaler: Upscaler, factor: int) -> int:
        """The level's halo, grown until windows keep to its rule and, if needed, to scene pixels."""
        multiple = upscaler.size_rule.multiple_of
        if upscaler.original_margin is not None:
            multiple = math.lcm(multiple, factor)
        assert upscaler.core % multiple == 0, f"core {upscaler.core} is no multiple of {multiple}"
        return -(-upscaler.halo // multiple) * multiple
