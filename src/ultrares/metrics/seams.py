"""Whether the borders of the tiles that an image was computed in can be seen."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ultrares.errors import InputError
from ultrares.metrics.patch import SIDE, Pair, Patch
from ultrares.metrics.pixels import Pixels, as_double
from ultrares.types import Window


def seam_visibility(image: Pixels, *, tile: int, period: int = 1) -> float:
    """Gradient energy across the borders of tiles over that elsewhere; 1 where no seam can be seen.

    The energy is the mean of the squared difference of neighbouring pixels, across and down, over all
    bands. A pair of pixels lies across a border if a multiple of ``tile`` lies between them. Elsewhere are
    the other pairs that a multiple of ``period`` lies between: the result of a method that works on blocks
    of pixels may change more from block to block, and that is no seam.

    Args:
        image: Shape (C, H, W), any numeric type.
        tile: Side of the tiles in pixels, counted from the first pixel.
        period: Side of the blocks, usually the scale of the method.

    Returns:
        0 and more; not-a-number without borders, or if the image is flat elsewhere.

    Raises:
        InputError: The image is not (C, H, W), or the tile is no multiple of the period and larger.
    """
    pixels = as_double(image)
    if pixels.ndim != 3:
        raise InputError(f"seams of shape {tuple(pixels.shape)} are not defined: pass (C, H, W)")
    whole = Window(0, 0, *pixels.shape[-2:])
    valid = torch.ones(pixels.shape[-2:], dtype=torch.bool)
    tally = SeamTally(tile, period)
    tally.add(Patch(Pair(pixels, pixels, valid, ~valid), whole, whole))
    return tally.scores()["seam"]


class SeamTally:
    """Gradient energies across borders and elsewhere, added up patch by patch.

    Args:
        tile: Side of the tiles in pixels.
        period: Side of the blocks that the method works on.

    Raises:
        InputError: The tile is no multiple of the period and larger.
    """

    halo = 1
    side = SIDE

    def __init__(self, tile: int, period: int = 1) -> None:
        if tile <= period or tile % period:
            raise InputError(
                f"tile {tile}: seams need tiles larger than the {period} pixels of a block, and a multiple"
            )
        self._tile, self._period = tile, period
        self._sums, self._counts = [0.0, 0.0], [0, 0]

    def add(self, patch: Patch) -> None:
        """Count the pairs whose upper or left pixel lies in the core of a patch."""
        rows, cols = patch.inner
        image, valid = patch.pair.estimate, patch.pair.valid
        self._add_pairs(image[:, rows, cols.start :], valid[rows, cols.start :], patch.core, axis=1)
        self._add_pairs(image[:, rows.start :, cols], valid[rows.start :, cols], patch.core, axis=0)

    def _add_pairs(self, image: Tensor, valid: Tensor, core: Window, *, axis: int) -> None:
        """Pairs of neighbours along an axis of an image (C, h, w) that begins where the core does."""
        start = (core.row, core.col)[axis]
        length = min((core.height, core.width)[axis], valid.shape[axis] - 1)
        if length < 1:
            return
        energy = (
            (image.narrow(axis + 1, 1, length) - image.narrow(axis + 1, 0, length))
            .square()
            .sum(dim=0)
        )
        usable = valid.narrow(axis, 1, length) & valid.narrow(axis, 0, length)
        before = torch.arange(start, start + length) + 1
        border = before % self._tile == 0
        elsewhere = (before % self._period == 0) & ~border
        for kind, places in enumerate((border, elsewhere)):
            chosen = usable & (places[:, None] if axis == 0 else places[None, :])
            self._sums[kind] += float(energy[chosen].sum())
            self._counts[kind] += int(chosen.sum())

    def scores(self) -> dict[str, float]:
        """``seam``."""
        if not all(self._counts) or self._sums[1] == 0:
            return {"seam": math.nan}
        across, elsewhere = (
            total / count for total, count in zip(self._sums, self._counts, strict=True)
        )
        return {"seam": across / elsewhere}
