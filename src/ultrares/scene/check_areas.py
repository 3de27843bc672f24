"""Whether a product on a grid of any scale keeps the area-weighted means of its scene."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ultrares.scene.opening import Raster
from ultrares.scene.profile import SceneProfile
from ultrares.scene.target_grid import SNAP, Axis, TargetGrid
from ultrares.scene.windows import tiles, whole
from ultrares.sensor.areas import AreaMeans, shares
from ultrares.types import Window

AREAS, BLOCKS = "areas", "blocks"
"""What the metadata item ULTRARES_GRID says: whether output pixels straddle the scene's, or fill them."""

CHECKED_SIDE = 512
"""Side, in scene pixels, of what is compared at once where the scale is small."""

LIMIT = 0.5
"""Digital numbers: each output pixel is rounded by half of one at most, and so is their mean."""

FLOAT_LIMIT = 1e-4
"""Of the range of the scene's valid pixels."""


@dataclass
class AreaFindings:
    """What comparing the means has found.

    Attributes:
        largest: Largest difference between an area-weighted mean and its scene pixel.
        smallest_value: Least valid scene pixel.
        largest_value: Greatest valid scene pixel.
        mask_equal: Whether exactly those output pixels are valid whose centre lies in a valid scene pixel.
    """

    largest: float = 0.0
    smallest_value: float = np.inf
    largest_value: float = -np.inf
    mask_equal: bool = True


def straddles(fine: SceneProfile) -> bool:
    """Whether a product says that its pixels straddle those of its scene."""
    return fine.tags.get("", {}).get("ULTRARES_GRID") == AREAS


def grid_of_product(fine: SceneProfile, coarse: SceneProfile) -> TargetGrid:
    """Where a product's pixels lie on its scene: by the transforms, or by the sizes where there is none."""
    if fine.transform is None or coarse.transform is None:
        rows, cols = (
            Axis(0.0, theirs / ours, ours)
            for ours, theirs in zip(fine.shape, coarse.shape, strict=True)
        )
        return TargetGrid(rows, cols)
    onto = ~coarse.transform @ fine.transform
    return TargetGrid(
        Axis(_snapped(onto.f), onto.e, fine.shape.height),
        Axis(_snapped(onto.c), onto.a, fine.shape.width),
    )


def moved_in_words(fine: SceneProfile) -> float:
    """How far the product says that its edges lie from the scene's, in scene pixels."""
    try:
        return float(fine.tags.get("", {}).get("ULTRARES_EDGES_MOVED", "0"))
    except ValueError:
        return 0.0


def compare_areas(fine: Raster, coarse: Raster, grid: TargetGrid) -> AreaFindings:
    """Compare a product's area-weighted means with its scene, in bounded memory."""
    found = AreaFindings()
    lit = np.flatnonzero(~np.array(coarse.profile.alpha))
    side = max(8, math.floor(CHECKED_SIDE / max(1.0, grid.scale / 2)))
    for part in tiles(whole(coarse.shape), side):
        row, last_row = grid.rows.touching(part.row, part.row + part.height)
        col, last_col = grid.cols.touching(part.col, part.col + part.width)
        if last_row <= row or last_col <= col:
            continue
        truth, valid = coarse.read(part)
        out = Window(row, col, last_row - row, last_col - col)
        pixels, lasting = fine.read(out)
        rows = grid.rows.edges(row, out.height)
        cols = grid.cols.edges(col, out.width)
        owners = grid.rows.owners(row, out.height), grid.cols.owners(col, out.width)
        found.mask_equal &= _same_mask(lasting, valid, part, *owners)
        row_shares = shares(rows, part.row, part.height)
        col_shares = shares(cols, part.col, part.width)
        # Where the product ends inside the scene, pixels reach beyond it that only the whole is held to.
        held = np.outer(
            _held(row_shares, part.row, grid.rows, coarse.shape.height),
            _held(col_shares, part.col, grid.cols, coarse.shape.width),
        )
        for band in lit:
            usable = valid[band] & held
            if not usable.any():
                continue
            means = AreaMeans(row_shares, col_shares, lasting[band])
            with np.errstate(invalid="ignore"):
                fine_band = np.where(lasting[band], pixels[band], 0).astype(np.float64)
                difference = np.abs(means.of(fine_band) - truth[band])[usable]
            found.largest = max(found.largest, float(np.nanmax(difference, initial=0.0)))
            found.smallest_value = min(found.smallest_value, float(truth[band][usable].min()))
            found.largest_value = max(found.largest_value, float(truth[band][usable].max()))
    return found


def _held(covered: NDArray[np.float64], first: int, axis: Axis, length: int) -> NDArray[np.bool_]:
    """Which scene pixels along an axis a product is held to: those it covers whole, and the scene's last where it ends with it."""
    number = first + np.arange(len(covered))
    end = axis.start + axis.size * axis.pitch
    begins = (number == 0) & (round(axis.start) <= 0) & (end > 1 - SNAP)
    ends = (number == length - 1) & (round(end) >= length) & (axis.start < length - 1 + SNAP)
    return (covered.sum(axis=1) > 1 - SNAP) | begins | ends


def limit_of_areas(dtype: np.dtype, found: AreaFindings) -> float:
    """Half a digital number; for floats a ten-thousandth of the range."""
    if dtype.kind in "iu":
        return LIMIT + SNAP
    return FLOAT_LIMIT * max(0.0, found.largest_value - found.smallest_value)


def _same_mask(
    lasting: np.ndarray,
    valid: np.ndarray,
    part: Window,
    rows: NDArray[np.intp],
    cols: NDArray[np.intp],
) -> bool:
    """Compare the output pixels whose centres lie in the part with the scene pixels there."""
    own, places = [], []
    for owners, start, length in ((rows, part.row, part.height), (cols, part.col, part.width)):
        centres = owners - start
        inside = (centres >= 0) & (centres < length)
        own.append(inside)
        places.append(centres[inside])
    ours = lasting[:, own[0]][:, :, own[1]]
    theirs = valid[:, places[0]][:, :, places[1]]
    return bool((ours == theirs).all())


def _snapped(edge: float) -> float:
    return float(round(edge)) if abs(edge - round(edge)) < SNAP else edge
