"""Everything about a raster except its pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
from affine import Affine
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.enums import ColorInterp
from rasterio.rpc import RPC

from ultrares.scene.grid import moved_gcps, moved_rpcs
from ultrares.scene.target_grid import Axis, TargetGrid
from ultrares.types import Shape, Window

Tags = dict[str, dict[str, str]]
"""Metadata items by namespace; the empty one is the default."""


@dataclass(frozen=True)
class BandProfile:
    """What a raster says about one of its bands."""

    description: str | None = None
    colorinterp: ColorInterp = ColorInterp.undefined
    scale: float = 1.0
    offset: float = 0.0
    unit: str | None = None
    nodata: float | None = None
    tags: Tags = field(default_factory=dict)


@dataclass(frozen=True)
class SceneProfile:
    """Size, type, place and metadata of a raster.

    Attributes:
        shape: Height and width in pixels.
        dtype: Data type of every band.
        bands: What is said about each band.
        crs: Coordinate reference system, of the transform or of the ground control points.
        transform: From pixel corners to coordinates; None if there is none.
        gcps: Ground control points.
        rpcs: Rational polynomial coefficients.
        tags: Metadata of the whole raster.
        masked: Whether it carries a mask band of its own, apart from nodata and alpha.
    """

    shape: Shape
    dtype: np.dtype
    bands: tuple[BandProfile, ...]
    crs: CRS | None = None
    transform: Affine | None = None
    gcps: tuple[GroundControlPoint, ...] = ()
    rpcs: RPC | None = None
    tags: Tags = field(default_factory=dict)
    masked: bool = False

    @property
    def alpha(self) -> tuple[bool, ...]:
        """Which bands are opacity, not light."""
        return tuple(band.colorinterp == ColorInterp.alpha for band in self.bands)

    @property
    def nodata(self) -> float | None:
        """The value that means no data; GeoTIFF knows one for all bands."""
        return next((band.nodata for band in self.bands if band.nodata is not None), None)

    @property
    def storable_nodata(self) -> float | None:
        """Nodata as the type can hold it; a value outside its range marks no pixel anyway."""
        nodata = self.nodata
        if nodata is None or self.dtype.kind == "f":
            return nodata
        limits = np.iinfo(self.dtype)
        return nodata if limits.min <= nodata <= limits.max else None

    def upscaled(self, scale: int, window: Window) -> SceneProfile:
        """The profile of a window of the raster, ``scale`` times finer."""
        rows, cols = (
            Axis(float(first), 1 / scale, scale * length)
            for first, length in ((window.row, window.height), (window.col, window.width))
        )
        return self.onto(TargetGrid(rows, cols))

    def onto(self, grid: TargetGrid) -> SceneProfile:
        """The profile of the raster on another grid."""
        rows, cols = grid.rows, grid.cols
        return replace(
            self,
            shape=Shape(rows.size, cols.size),
            transform=None if self.transform is None else grid.transform(self.transform),
            gcps=tuple(moved_gcps(self.gcps, rows, cols)),
            rpcs=None if self.rpcs is None else moved_rpcs(self.rpcs, rows, cols),
        )

    def of_spread(self) -> SceneProfile:
        """The profile of a raster that holds the standard deviation of each band that carries light.

        A standard deviation has the band's scale and unit but no offset. What a band's own metadata say
        of its pixels is not true of it and is left out; alpha and a mask have become not-a-number.
        """
        named = [
            (band.description or f"band {index}", band)
            for index, band in enumerate(self.bands, start=1)
            if band.colorinterp != ColorInterp.alpha
        ]
        bands = tuple(
            BandProfile(f"std of {name}", scale=band.scale, unit=band.unit, nodata=math.nan)
            for name, band in named
        )
        return replace(self, dtype=np.dtype(np.float32), bands=bands, masked=False)
