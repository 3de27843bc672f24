"""A reference brought to the scene's date, cell by cell on the absolute grid."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ultrares.scene.windows import tiles
from ultrares.types import AlignedReference, Fusion, Reference, Shape, Window

Fused = tuple[NDArray[np.float32], NDArray[np.bool_]]


ENOUGH = 0.9
"""Share of a ratio that the reference has to be finer by: pixels of half a metre do for a sixteenth of ten metres."""


def fused_at(fusion: Fusion | None, reference: Reference | None, top: int) -> int | None:
    """The ratio that a reference is fused at; None for none.

    It is the finest that the fusion knows, the reference has pixels for, and the finest level reaches: what is finer
    than the product would cost many times what it does, and coarser levels need no help.

    Args:
        fusion: What fuses, if anything does.
        reference: The reference, if there is one.
        top: Pixels of the finest level per pixel of the scene, along one side.
    """
    if fusion is None or reference is None:
        return None
    told = [ratio for ratio in fusion.ratios if ratio <= min(top, reference.factor / ENOUGH)]
    return max(told, default=None)


class FusedReference:
    """A reference whose pixels are those of the scene's date, as far as a fusion can tell.

    It is fused at one ratio of resolutions, and coarser grids are averages of that. What is fused at once are squares
    on the absolute grid with their context, which ends with the scene: a pixel depends on its place alone, never on
    the window it is asked for with.

    Args:
        reference: The reference as it was taken.
        scene: Reads windows inside the scene, (1, L, h, w), normalised and without gaps.
        shape: Height and width of the scene.
        fusion: What fuses.
        ratio: The pixels that it is fused at, per pixel of the scene, along one side: a power of two. Finer grids are
            of the reference as it was taken.
        cache_bytes: What fused cells may keep, for windows of neighbouring tiles and levels overlap.
    """

    def __init__(
        self,
        reference: Reference,
        scene: Callable[[Window], Tensor],
        shape: Shape,
        fusion: Fusion,
        ratio: int,
        *,
        cache_bytes: int,
    ) -> None:
        self._reference, self._scene, self._fusion, self._ratio = reference, scene, fusion, ratio
        self._shape = Shape(*(ratio * side for side in shape))
        self._cache: OrderedDict[tuple[int, int, int], Fused] = OrderedDict()
        self._cached, self._cache_bytes = 0, cache_bytes

    @property
    def factor(self) -> float:
        """Its pixels per pixel of the scene, along one side."""
        return self._reference.factor

    def read(self, window: Window, factor: int) -> Fused:
        """A window of the grid ``factor`` times finer than the scene's, inside the scene.

        Returns:
            Pixels matched to the scene's lit bands, (L, h, w), normalised as the scene is, and their
            validity, (h, w).
        """
        if self._ratio % factor:
            return self._reference.read(window, factor)
        side = self._fusion.core(self._ratio) // (self._ratio // factor)
        image: NDArray[np.float32] | None = None
        valid = np.zeros((window.height, window.width), dtype=bool)
        for part in tiles(window, side):
            row, col = part.row // side, part.col // side
            pixels, there = self._cell(factor, row, col)
            if image is None:
                image = np.empty((len(pixels), *valid.shape), dtype=np.float32)
            here = _within(part, window.row, window.col)
            inside = _within(part, row * side, col * side)
            image[(slice(None), *here)] = pixels[(slice(None), *inside)]
            valid[here] = there[inside]
        assert image is not None
        return image, valid

    def forget(self) -> None:
        """Drop what is kept, and keep half as much from now on."""
        self._cache.clear()
        self._cached, self._cache_bytes = 0, self._cache_bytes // 2

    def _around(self, core: Window) -> Window:
        """What a core is fused with: itself and its context, inside the scene."""
        return core.padded(self._fusion.halo(self._ratio)).clipped(self._shape)

    def _cell(self, factor: int, row: int, col: int) -> Fused:
        """A cell of a grid, cropped to the scene, from the cache or computed."""
        key = (factor, row, col)
        if key in self._cache:
            self._cache.move_to_end(key)
            return self._cache[key]
        cell, at = self._fused(row, col), self._ratio
        self._keep((at, row, col), cell)
        wanted = cell
        # All its means at once, for coarser levels look at them first.
        while at > min(factor, 2):
            cell, at = _halved(cell), at // 2
            self._keep((at, row, col), cell)
            if at == factor:
                wanted = cell
        return wanted

    def _keep(self, key: tuple[int, int, int], cell: Fused) -> None:
        before = self._cache.pop(key, ())
        self._cache[key] = cell
        self._cached += _size(cell) - _size(before)
        while self._cached > self._cache_bytes and len(self._cache) > 1:
            # The finest first: each is looked at by few tiles, and its means by all around.
            finest = (kept for kept in self._cache if kept[0] == self._ratio)
            given_up = self._cache.pop(next(finest, next(iter(self._cache))))
            self._cached -= _size(given_up)

    def _fused(self, row: int, col: int) -> Fused:
        side = self._fusion.core(self._ratio)
        core = Window(row * side, col * side, side, side).clipped(self._shape)
        wide = self._around(core)
        pixels, valid = self._reference.read(wide, self._ratio)
        inner = _within(core, wide.row, wide.col)
        if not valid[inner].any():
            return pixels[(slice(None), *inner)].copy(), valid[inner].copy()
        given = AlignedReference(
            torch.from_numpy(pixels)[None].nan_to_num(0.0, 0.0, 0.0),
            torch.from_numpy(valid)[None, None].float(),
        )
        scene = self._scene(wide.reduced(self._ratio))
        wanted = core._replace(row=core.row - wide.row, col=core.col - wide.col)
        fused = self._fusion(scene, given, self._ratio, wanted)[0].cpu().numpy()
        # A copy, so that the cache does not keep the context alive.
        return fused, valid[inner].copy()


def _size(cell: Sequence[NDArray[Any]]) -> int:
    """Bytes of a cell."""
    return sum(array.nbytes for array in cell)


def _within(window: Window, row: int, col: int) -> tuple[slice, slice]:
    """Where a window lies in an array whose first pixel is at (row, col)."""
    top, left = window.row - row, window.col - col
    return slice(top, top + window.height), slice(left, left + window.width)


def _halved(cell: Fused) -> Fused:
    """The means of squares of four pixels, which are valid where all four are."""
    image, valid = cell
    parts = [(slice(row, None, 2), slice(col, None, 2)) for row in (0, 1) for col in (0, 1)]
    mean = np.mean([image[(slice(None), *part)] for part in parts], axis=0, dtype=np.float32)
    return np.asarray(mean, dtype=np.float32), np.logical_and.reduce(
        [valid[part] for part in parts]
    )
