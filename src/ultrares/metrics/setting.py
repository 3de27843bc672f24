"""What a comparison has to know before it begins: sizes, levels and what is at hand."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ultrares.errors import InputError
from ultrares.metrics.tools import Tools
from ultrares.types import Shape


@dataclass(frozen=True)
class Extent:
    """Smallest and largest valid values.

    Attributes:
        lowest: Of both images.
        highest: Of both images.
        truth_lowest: Of the truth.
        truth_highest: Of the truth.
    """

    lowest: float = np.inf
    highest: float = -np.inf
    truth_lowest: float = np.inf
    truth_highest: float = -np.inf

    def merged(self, other: Extent) -> Extent:
        """The extent of what both describe."""
        return Extent(
            min(self.lowest, other.lowest),
            max(self.highest, other.highest),
            min(self.truth_lowest, other.truth_lowest),
            max(self.truth_highest, other.truth_highest),
        )


NOTHING_TO_COMPARE = (
    "no pixel has data in both images: all is nodata, masked or not finite in one of them"
)

BYTES = Extent(0, 255, 0, 255)
"""Of unsigned bytes, whose range is known without looking at them."""


@dataclass(frozen=True)
class Setting:
    """The facts that metrics are built from.

    Attributes:
        bands: Number of bands.
        shape: Height and width of the images.
        floor: The value that counts as black.
        peak: How much brighter white is.
        extent: Smallest and largest values.
        whole_numbers: Whether both images hold whole numbers only.
        scale: Fine pixels per coarse pixel along one side, if known.
        tile: Side of the tiles that the result was computed in, if known.
        tools: Networks and models.
    """

    bands: int
    shape: Shape
    floor: float
    peak: float
    extent: Extent
    whole_numbers: bool
    scale: float | None = None
    tile: int | None = None
    tools: Tools = field(default_factory=Tools)

    @property
    def period(self) -> int:
        """Side of the blocks that seams are looked for between: the scale, where tiles are whole blocks."""
        scale, tile = self.scale or 1, self.tile or 1
        return int(scale) if scale == int(scale) and tile > scale and tile % scale == 0 else 1

    def in_words(self) -> dict[str, str]:
        """What the definitions depend on."""
        words = {"peak": f"{self.peak:.10g}"}
        if self.scale is not None:
            words["scale"] = f"{self.scale:g}"
        if self.tile is not None:
            words |= {"tile": str(self.tile), "period": str(self.period)}
        if self.tools.pristine is not None:
            words["niqe"] = self.tools.pristine.name
        return words


def levels(peak: float | None, extent: Extent) -> tuple[float, float]:
    """What counts as black, and how much brighter white is.

    Unsigned bytes count from 0 to 255. Anything else counts over the range of the truth's valid values,
    unless a peak is given, which counts from 0.

    Raises:
        InputError: The peak is not positive, or none is given and the truth is constant or empty.
    """
    if peak is not None:
        if not (np.isfinite(peak) and peak > 0):
            raise InputError(f"peak {peak:g}: pass the largest value the data can take, above 0")
        return 0.0, float(peak)
    if extent == BYTES:
        return 0.0, 255.0
    if extent.truth_lowest == np.inf:
        raise InputError(NOTHING_TO_COMPARE)
    span = extent.truth_highest - extent.truth_lowest
    if not span > 0:
        raise InputError(
            f"the truth is {extent.truth_lowest:g} everywhere, so that its range says nothing of the "
            "peak: pass the largest value the data can take as peak"
        )
    return extent.truth_lowest, span
