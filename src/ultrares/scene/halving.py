"""Tiles in pieces, and in smaller ones after memory has run out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from ultrares.scene.tile import ForgetfulTiler, Layer, Tile
from ultrares.scene.windows import tiles
from ultrares.types import Window


class HalvingTiler:
    """Makes the tiles of another tiler, in as large pieces as memory bears.

    A piece is a pure function of its place, so the tile is the same. When memory runs out, what is kept is
    dropped, half as much is kept from then on, and pieces get half the side; then the tile is made again.
    Cells are never halved, for their shape is part of the result.

    Args:
        tiler: Makes pieces.
        step: What the sides of pieces must be multiples of; None if they cannot be smaller than a tile.
        largest: Side of a piece to begin with, in output pixels.
    """

    def __init__(self, tiler: ForgetfulTiler, *, step: int | None, largest: int) -> None:
        self._tiler = tiler
        self._step = step
        self._side = largest if step is None else -(-largest // step) * step
        self._forgot = False

    @property
    def places(self) -> Sequence[Window]:
        """The windows of the product."""
        return self._tiler.places

    def make(self, place: Window) -> Tile:
        """The tile of one of ``places``.

        Raises:
            MemoryError: Not even the smallest piece fits.
        """
        while True:
            try:
                return _joined(place, [self._tiler.make(piece) for piece in self._pieces(place)])
            except (MemoryError, RuntimeError) as error:
                if not is_lack_of_memory(error):
                    raise
                reason = str(error)
            # Out of the handler, whose traceback holds all arrays of the attempt.
            self._shrink(place, reason)

    def _pieces(self, place: Window) -> list[Window]:
        if self._step is None or max(place.height, place.width) <= self._side:
            return [place]
        return list(tiles(place, self._side))

    def _shrink(self, place: Window, reason: str) -> None:
        """Make room, or give up."""
        step = self._step
        side = self._side
        if step is not None:
            side = max(1, min(side, max(place.height, place.width)) // 2 // step) * step
        if self._forgot and side >= min(self._side, max(place.height, place.width)):
            raise MemoryError(reason)
        self._tiler.forget()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        self._forgot, self._side = True, min(side, self._side)


def is_lack_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory has run out: numpy's, a GPU's, or that of torch's CPU allocator."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


def _joined(place: Window, parts: Sequence[Tile]) -> Tile:
    """One tile of pieces that cover it once."""
    if len(parts) == 1:
        return parts[0]
    tile = Tile(
        place,
        _put_together(place, [(part.place, part.pixels) for part in parts]),
        _put_together(place, [(part.place, part.valid) for part in parts]),
    )
    spread = [(part.place, part.spread) for part in parts if part.spread is not None]
    lit = [(part.place, part.lit) for part in parts if part.lit is not None]
    if spread and lit:
        whole = _put_together(place, spread)
        tile = replace(tile, spread=whole, lit=_put_together(place, lit))
    layers = {
        name: Layer(
            _put_together(place, [(part.place, part.layers[name].pixels) for part in parts]),
            _put_together(place, [(part.place, part.layers[name].valid) for part in parts]),
        )
        for name in parts[0].layers
    }
    return replace(tile, layers=layers)


def _put_together(place: Window, parts: Sequence[tuple[Window, np.ndarray]]) -> np.ndarray:
    first = parts[0][1]
    whole = np.empty((len(first), place.height, place.width), first.dtype)
    for window, array in parts:
        top, left = window.row - place.row, window.col - place.col
        whole[:, top : top + window.height, left : left + window.width] = array
    return whole
