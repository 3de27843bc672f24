"""Overviews by averaging what is valid, and what counts as valid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Averaged(NamedTuple):
    """Pixels of an overview and their validity, both (C, h, w)."""

    pixels: np.ndarray
    valid: np.ndarray


def validity(
    array: np.ndarray, nodata: float | None, mask: np.ndarray | None, alpha: Sequence[bool]
) -> np.ndarray:
    """Which pixels show the ground: those that are finite and what the first of mask, nodata and alpha says.

    This is the order in which GDAL looks at them.

    Args:
        array: Shape (C, h, w).
        nodata: The value that means no data, if there is one.
        mask: Shape (h, w), 0 where there is no data; None without a mask.
        alpha: Which bands are opacity: they are valid themselves, and 0 where there is no data.
    """
    valid = np.isfinite(array) if array.dtype.kind == "f" else np.ones(array.shape, dtype=bool)
    light = ~np.asarray(alpha, dtype=bool)
    if mask is not None:
        valid &= mask > 0
    elif nodata is not None:
        if nodata == nodata:
            valid &= array != array.dtype.type(nodata)
    elif not light.all():
        valid[light] &= array[~light].max(axis=0) > 0
    valid[~light] = True
    return valid


def halved(array: np.ndarray, valid: np.ndarray, nodata: float | None) -> Averaged:
    """The mean of the valid pixels of each 2 x 2; a pixel is valid if any of them is.

    Args:
        array: Shape (C, h, w), any sides; what is left over at the end is averaged with what there is.
        valid: Of the same shape.
        nodata: What pixels without data get, and no other; 0 if None.

    Returns:
        Half the sides, rounded up, in the array's type; integers are rounded to the nearest even.
    """
    bands, height, width = array.shape
    padding = ((0, 0), (0, height % 2), (0, width % 2))
    shape = (bands, -(-height // 2), 2, -(-width // 2), 2)
    usable = np.pad(valid, padding).reshape(shape)
    numbers = np.pad(array, padding).reshape(shape).astype(np.float64)
    count = usable.sum(axis=(2, 4))
    total = np.where(usable, numbers, 0).sum(axis=(2, 4))
    mean = total / np.maximum(count, 1)
    empty = array.dtype.type(0 if nodata is None else nodata)
    if array.dtype.kind in "iu":
        limits = np.iinfo(array.dtype)
        # The largest 64-bit integers are no float64: one below can be cast.
        ceiling = np.nextafter(float(limits.max), 0) if limits.max > 2**53 else float(limits.max)
        mean = np.clip(np.rint(mean), limits.min, ceiling)
        if nodata is not None:
            mean[mean == nodata] += 1 if nodata < limits.max else -1
    lasting = count > 0
    return Averaged(np.where(lasting, mean.astype(array.dtype), empty), lasting)
