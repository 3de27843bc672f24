"""A reference brought to the scene's date, cell by cell on the absolute grid."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ultrares.scene.windows import bounding_block, clipped, tiles
from ultrares.types import AlignedReference, Fusion, Reference, Shape, Window

Fused = tuple[NDArray[np.float32], NDArray[np.bool_]]


FINER = 1.2
"""How much finer than a level's input a reference must be to tell it anything."""


def fused_at(fusion: Fusion | None, reference: Reference | None) -> int | None:
    """The finest ratio that a reference is fused at and that it tells something at; None for none."""
    if fusion is None or reference is None:
        return None
    told = [ratio for ratio in fusion.ratios if reference.factor >= FINER * ratio / 2]
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

    def needs(self, window: Window, factor: int) -> Window:
        """The scene pixels that a window of the grid ``factor`` times finer than the scene's depends on."""
        if self._ratio % factor:
            # A reference by itself looks at the scene pixels that its own lie in.
            return bounding_block(window, factor).reduced(factor)
        fine = window.scaled(self._ratio // factor)
        cells = bounding_block(fine, self._fusion.core(self._ratio))
        return self._around(cells).reduced(self._ratio)

    def forget(self) -> None:
        """Drop what is kept, and keep half as much from now on."""
        self._cache.clear()
        self._cached, self._cache_bytes = 0, self._cache_bytes // 2

    def _around(self, core: Window) -> Window:
        """What a core is fused with: itself and its context, inside the scene."""
        return clipped(core.padded(self._fusion.halo(self._ratio)), self._shape)

    def _cell(self, factor: int, row: int, col: int) -> Fused:
        """A cell of a grid, cropped to the scene, from the cache or computed."""
        key = (factor, row, col)
        if key in self._cache:
            self._cache.move_to_end(key)
            return self._cache[key]
        cell = wanted = self._fused(row, col)
        at = self._ratio
        while True:
            self._keep((at, row, col), cell)
            if at == factor:
                wanted = cell
            if at == 1:
                return wanted
            cell, at = _halved(cell), at // 2

    def _keep(self, key: tuple[int, int, int], cell: Fused) -> None:
        self._cache[key] = cell
        self._cached += sum(array.nbytes for array in cell)
        while self._cached > self._cache_bytes and len(self._cache) > 1:
            # The finest first: each is looked at by few tiles, and its means by all around.
            finest = (kept for kept in self._cache if kept[0] == self._ratio)
            given_up = self._cache.pop(next(finest, next(iter(self._cache))))
            self._cached -= sum(array.nbytes for array in given_up)

    def _fused(self, row: int, col: int) -> Fused:
        side = self._fusion.core(self._ratio)
        core = clipped(Window(row * side, col * side, side, side), self._shape)
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
        fused = self._fusion(scene, given, self._ratio)[0].cpu().numpy()
        # Copies, so that the cache does not keep the context alive.
        return fused[(slice(None), *inner)].copy(), valid[inner].copy()


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
