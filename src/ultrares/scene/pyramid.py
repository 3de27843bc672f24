"""The lazily evaluated pyramid: any window of any level, computed cell by cell."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ultrares.scene.fused_reference import FusedReference, fused_at
from ultrares.scene.radiometry import FILL_DISTANCE, Radiometry
from ultrares.scene.windows import bounding, mirror, mirrored_inside, union
from ultrares.types import (
    AlignedReference,
    Cell,
    Reference,
    Shape,
    Source,
    Upscaler,
    Window,
)

DEFAULT_CACHE = 512 << 20

FINER = 1.2
"""How much finer than a level's input a reference must be to tell it anything."""

FUSED_SHARE = 4
"""One part in so many of what computed cells may keep is kept of fused ones."""


class Pyramid:
    """A scene and the levels above it, computed where and when they are looked at.

    Level 0 is the normalised scene, level i the result of ``levels[i - 1]``. Every level is computed in
    cells: squares of its input on the absolute grid, with the level's halo, one at a time; they end a
    little beyond the scene's edge, where they are mirrored. So a pixel depends on its place in the scene
    alone, never on the window it is asked for with.

    Args:
        source: The scene.
        radiometry: Its range.
        levels: The cascade, from the scene up.
        cache_bytes: What computed cells may keep; affects time only.
        reference: A finer image of the place, offered to levels that use one while it is finer than they.
    """

    def __init__(
        self,
        source: Source,
        radiometry: Radiometry,
        levels: Sequence[Upscaler],
        *,
        cache_bytes: int = DEFAULT_CACHE,
        reference: Reference | None = None,
    ) -> None:
        self._source = source
        self._radiometry = radiometry
        self._levels = levels
        self._reference = reference
        self._factors = [
            math.prod(level.scale for level in levels[:i]) for i in range(len(levels) + 1)
        ]
        self._cache: OrderedDict[tuple[int, int, int], Tensor] = OrderedDict()
        self._cached, self._cache_bytes = 0, cache_bytes
        fusion = next((level.fusion for level in levels if level.fusion is not None), None)
        ratio = fused_at(fusion, reference, self._factors[-1])
        if reference is not None and fusion is not None and ratio is not None:
            part = cache_bytes // FUSED_SHARE
            self._cache_bytes -= part
            self._reference = FusedReference(
                reference, self._scene, source.shape, fusion, ratio, cache_bytes=part
            )

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

    def forget(self) -> None:
        """Drop what is kept, and keep half as much from now on."""
        if isinstance(self._reference, FusedReference):
            self._reference.forget()
        self._cache.clear()
        self._cached, self._cache_bytes = 0, self._cache_bytes // 2

    @torch.inference_mode()
    def read(self, level: int, window: Window) -> Tensor:
        """Pixels of a window of a level, (N, C, h, w); outside the scene they are mirrored."""
        shape = self.shape(level)
        if level == 0:
            return _mirrored(window, shape, lambda inner: [self._scene(inner)])[0]
        return _mirrored(window, shape, lambda inner: [self._assemble(level, inner)])[0]

    def needs(self, level: int, window: Window) -> Window:
        """The scene pixels that a window of a level depends on, all of its cells and their context.

        A reference, which is matched to the whole scene, is left out of account.
        """
        inner = mirrored_inside(window, self.shape(level))
        if level == 0:
            return inner.padded(FILL_DISTANCE).clipped(self._source.shape)
        upscaler, factor = self._levels[level - 1], self._factors[level - 1]
        side, core = upscaler.core * upscaler.scale, upscaler.core
        bottom, right = inner.row + inner.height - 1, inner.col + inner.width - 1
        first, last = (
            self._window(Window(row // side * core, col // side * core, core, core), level - 1)
            for row, col in ((inner.row, inner.col), (bottom, right))
        )
        needed = self.needs(level - 1, union(first, last))
        margin = upscaler.original_margin
        if margin is not None:
            for cell in (first, last):
                place = Window(*(value // factor for value in cell)).padded(margin)
                needed = union(needed, self.needs(0, place))
        return needed

    def _scene(self, window: Window) -> Tensor:
        """Normalise a window inside the scene; its gaps are filled from outside the window too."""
        array, valid = self._source.read(window)
        if valid[self._radiometry.lit].all():
            return self._radiometry.normalise(array, valid)
        # All that a fill can reach, or it would depend on where the window ends.
        wide = window.padded(FILL_DISTANCE).clipped(self._source.shape)
        top, left = window.row - wide.row, window.col - wide.col
        unit = self._radiometry.normalise(*self._source.read(wide))
        return unit[..., top : top + window.height, left : left + window.width]

    def _assemble(self, level: int, window: Window) -> Tensor:
        """Put a window that lies inside a level together from its cells."""
        upscaler = self._levels[level - 1]
        side = upscaler.core * upscaler.scale
        bottom, right = window.row + window.height, window.col + window.width
        result: Tensor | None = None
        for row in range(window.row // side, -(-bottom // side)):
            for col in range(window.col // side, -(-right // side)):
                cell = self._cell(level, row, col)
                if result is None:
                    result = cell.new_empty(*cell.shape[:2], window.height, window.width)
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
        assert result is not None
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
        core = Window(row * upscaler.core, col * upscaler.core, upscaler.core, upscaler.core)
        window = self._window(core, level - 1)
        assert upscaler.size_rule.accepts(window.height, window.width), f"{upscaler} and {window}"
        image = self.read(level - 1, window)
        original, place = image, window
        margin = upscaler.original_margin
        if margin is not None:
            place = Window(*(value // factor for value in window)).padded(margin)
            original = self.read(0, place)
        reference = self._aligned(window, level)
        cell = Cell(image, window.origin, original, place.origin, factor, reference, core)
        fine = upscaler(cell)
        inner = core.scaled(upscaler.scale).clipped(self.shape(level))
        top = inner.row - window.row * upscaler.scale
        left = inner.col - window.col * upscaler.scale
        # A copy, so that the cache does not keep the halo alive.
        fine = fine[..., top : top + inner.height, left : left + inner.width]
        return fine.float().cpu().clone()

    def _window(self, core: Window, below: int) -> Window:
        """A cell's core with its halo, but not far beyond the scene, on the grid of the level's rule.

        Args:
            core: Pixels of the level's input.
            below: Number of the level that they belong to.
        """
        upscaler = self._levels[below]
        multiple = upscaler.size_rule.multiple_of
        if upscaler.original_margin is not None:
            multiple = math.lcm(multiple, self._factors[below])
        assert upscaler.core % multiple == 0, f"core {upscaler.core} is no multiple of {multiple}"
        margins, shape = (upscaler.halo, upscaler.edge), self.shape(below)
        row, height = _span(core.row, core.height, shape.height, margins, multiple)
        col, width = _span(core.col, core.width, shape.width, margins, multiple)
        return Window(row, col, height, width)

    def _is_told(self, level: int) -> bool:
        """Whether there is a reference that tells a level something."""
        if self._reference is None or not self._levels[level - 1].uses_reference:
            return False
        return self._reference.factor >= FINER * self._factors[level - 1]

    def _aligned(self, window: Window, level: int) -> AlignedReference | None:
        """The reference on the result's grid of a cell, or None where it tells the level nothing."""
        reference, upscaler = self._reference, self._levels[level - 1]
        if reference is None or not self._is_told(level):
            return None
        factor = self._factors[level]

        def read(inner: Window) -> list[Tensor]:
            pixels, valid = reference.read(inner, factor)
            return [torch.from_numpy(pixels)[None], torch.from_numpy(valid)[None, None].float()]

        image, valid = _mirrored(window.scaled(upscaler.scale), self.shape(level), read)
        # What is not valid may hold anything; networks multiply it by zero.
        return AlignedReference(image.nan_to_num(0.0, 0.0, 0.0), valid)


def _span(
    start: int, length: int, size: int, margins: tuple[int, int], multiple: int
) -> tuple[int, int]:
    """First position and length of a core with its margins along one axis of ``size`` pixels.

    Its margins are the halo inside the scene, and the edge beyond it.
    """
    halo, edge = margins
    first = max(start - halo, -edge) // multiple * multiple
    stop = -(-min(start + length + halo, size + edge) // multiple) * multiple
    return first, stop - first


def _mirrored(window: Window, shape: Shape, read: Callable[[Window], list[Tensor]]) -> list[Tensor]:
    """Images of a window, mirrored where it leaves an image of ``shape``, from a reader of its inside."""
    rows = mirror(window.row, window.height, shape.height)
    cols = mirror(window.col, window.width, shape.width)
    (row, height), (col, width) = bounding(rows), bounding(cols)
    inner = Window(row, col, height, width)
    images = read(inner)
    if inner == window:
        return images
    places = torch.from_numpy(rows - row), torch.from_numpy(cols - col)
    return [
        image.index_select(-2, places[0].to(image.device)).index_select(
            -1, places[1].to(image.device)
        )
        for image in images
    ]
