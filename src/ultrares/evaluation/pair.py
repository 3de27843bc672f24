"""Two rasters of one place, read side by side."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from ultrares.errors import RasterError
from ultrares.metrics.comparison import extent_of
from ultrares.metrics.patch import SIDE, Pair
from ultrares.metrics.setting import BYTES, Extent
from ultrares.metrics.suite import as_pair
from ultrares.scene.grid import footprint_distance
from ultrares.scene.opening import Raster
from ultrares.scene.profile import SceneProfile
from ultrares.scene.windows import tiles, whole
from ultrares.types import Shape, Window

FOOTPRINT_TOLERANCE = 0.01
"""In pixels: files that were cut by other programs differ in the last digits of their corners."""


class Named(NamedTuple):
    """An open raster and how to speak of it."""

    name: str
    source: Raster

    @property
    def lit(self) -> np.ndarray:
        """Which bands carry light."""
        return ~np.array(self.source.profile.alpha)

    @property
    def bands(self) -> int:
        """Number of bands that carry light."""
        return int(self.lit.sum())

    def read(self, window: Window) -> tuple[torch.Tensor, torch.Tensor]:
        """Doubles and validity of the bands that carry light, both (C, h, w), zero where not valid."""
        pixels, valid = self.source.read(window)
        doubles, usable = pixels[self.lit].astype(np.float64), valid[self.lit]
        doubles[~usable] = 0
        return torch.from_numpy(doubles), torch.from_numpy(usable)


class RasterPair:
    """A result and its truth.

    Args:
        estimate: The result.
        truth: The truth.

    Raises:
        RasterError: They differ in size, bands or place; the message says which.
    """

    def __init__(self, estimate: Named, truth: Named) -> None:
        self._estimate, self._truth = estimate, truth
        _check_same_size(estimate, truth)
        check_same_bands(estimate, truth)
        check_same_place(estimate, truth)

    @property
    def shape(self) -> Shape:
        """Height and width of both."""
        return self._truth.source.shape

    @property
    def bands(self) -> int:
        """Number of bands that carry light."""
        return self._truth.bands

    @property
    def whole_numbers(self) -> bool:
        """Whether both hold whole numbers only."""
        kinds = self._estimate.source.dtype.kind, self._truth.source.dtype.kind
        return all(kind in "iub" for kind in kinds)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the figures should know of the files."""
        return tuple(
            f"band {band} of {named.name} is marked as alpha: it tells where there is data, and is not "
            "compared"
            for named in (self._estimate, self._truth)
            for band in (np.flatnonzero(~named.lit) + 1).tolist()
        )

    def read(self, window: Window) -> Pair:
        """Both images in a window."""
        return Pair(*as_pair(self._estimate.read(window), self._truth.read(window)))

    def extent(self) -> Extent:
        """Smallest and largest valid values; files other than bytes are read through for it."""
        if self._estimate.source.dtype == self._truth.source.dtype == np.uint8:
            return BYTES
        extent = Extent()
        for window in tiles(whole(self.shape), SIDE):
            pair = self.read(window)
            extent = extent.merged(
                extent_of(pair.estimate[:, pair.valid], pair.truth[:, pair.valid])
            )
        return extent


def check_same_bands(one: Named, other: Named) -> None:
    """Refuse rasters of different numbers of bands.

    Raises:
        RasterError: They differ.
    """
    if one.bands != other.bands:
        raise RasterError(
            f"{one.name} has {one.bands} bands and {other.name} has {other.bands}: pass the same "
            "bands of both (alpha does not count; --bands chooses those of the truth)"
        )


def check_same_place(fine: Named, coarse: Named) -> None:
    """Refuse rasters that do not show the same place; one without a place may show any.

    Raises:
        RasterError: Their coordinate systems or corners differ.
    """
    one, other = fine.source.profile, coarse.source.profile
    if one.transform is None or other.transform is None:
        return
    if one.crs is not None and other.crs is not None and one.crs != other.crs:
        raise RasterError(
            f"{fine.name} is in {one.crs.to_string()} and {coarse.name} in {other.crs.to_string()}: "
            "bring both onto one grid first"
        )
    distance = _corner_distance(one, other)
    if distance > FOOTPRINT_TOLERANCE:
        raise RasterError(
            f"the footprints of {fine.name} and {coarse.name} differ: their corners are up to "
            f"{distance:.3g} pixels apart; bring both onto one grid first"
        )


def _check_same_size(estimate: Named, truth: Named) -> None:
    ours, true = estimate.source.shape, truth.source.shape
    if ours != true:
        raise RasterError(
            f"{estimate.name} is {ours.width} x {ours.height} pixels and {truth.name} "
            f"{true.width} x {true.height}: pass two rasters of one grid"
        )


def _corner_distance(one: SceneProfile, other: SceneProfile) -> float:
    """Largest distance of the corners, in pixels of the second."""
    assert one.transform is not None, "checked by the caller"
    assert other.transform is not None, "checked by the caller"
    if other.transform.determinant == 0:
        return 0.0
    return footprint_distance(other.transform, other.shape, one.transform, one.shape)
