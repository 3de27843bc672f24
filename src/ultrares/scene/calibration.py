"""From a band's digital numbers to a quantity."""

from __future__ import annotations

from typing import NamedTuple


class Calibration(NamedTuple):
    """What a product's metadata say of a band where the raster itself does not.

    Attributes:
        scale: The quantity is ``scale * number + offset``.
        offset: Of the same unit as the quantity.
        nodata: The number of missing pixels.
    """

    scale: float
    offset: float
    nodata: float
