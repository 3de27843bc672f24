"""Whether a reference raster shows any of the scene."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Self

import numpy as np
import rasterio
from rasterio.errors import CRSError, NotGeoreferencedWarning, RasterioError
from rasterio.transform import array_bounds
from rasterio.warp import transform_bounds

from ultrares.errors import ReferenceImageError
from ultrares.scene.radiometry import Radiometry
from ultrares.scene.source import ArraySource, RasterSource
from ultrares.types import Window


def check_overlap(reference: str | Path, scene: RasterSource) -> None:
    """Make sure that a reference can be opened and covers some of the scene.

    Raises:
        ReferenceImageError: It cannot be opened, lacks a CRS that the scene has, or lies elsewhere.
    """
    profile = scene.profile
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            raster = rasterio.open(reference)
        with raster:
            crs, bounds = raster.crs, raster.bounds
    except RasterioError as error:
        raise ReferenceImageError(f"reference {reference} cannot be opened: {error}") from error
    if profile.crs is None or profile.transform is None or crs is None:
        raise ReferenceImageError(
            f"reference {reference} and the scene must both have a transform and a coordinate system, "
            "or nobody can tell where one lies on the other"
        )
    own = array_bounds(profile.shape.height, profile.shape.width, profile.transform)
    try:
        left, bottom, right, top = transform_bounds(crs, profile.crs, *bounds)
    except (CRSError, RasterioError) as error:
        raise ReferenceImageError(
            f"reference {reference} cannot be projected into the scene's system: {error}"
        ) from error
    # Bounds of a raster whose first row lies south come with bottom and top exchanged.
    (west, east), (south, north) = sorted(own[::2]), sorted(own[1::2])
    (left, right), (bottom, top) = sorted((left, right)), sorted((bottom, top))
    if right <= west or left >= east or top <= south or bottom >= north:
        raise ReferenceImageError(
            f"reference {reference} does not overlap the scene: it covers "
            f"{left:.6g}, {bottom:.6g} to {right:.6g}, {top:.6g} in the scene's system, the scene "
            f"{west:.6g}, {south:.6g} to {east:.6g}, {north:.6g}"
        )


class ArrayReference:
    """Stand-in until the reference branch is merged."""

    def __init__(self, array: np.ndarray, scene: ArraySource, radiometry: Radiometry) -> None:
        self._array, self._lit = array.astype(np.float32) / 255, int(radiometry.lit.sum())
        self.factor = array.shape[-1] / scene.shape.width
        self.shift, self.correlation = (0.0, 0.0), 1.0

    def read(self, window: Window, factor: int) -> tuple[np.ndarray, np.ndarray]:
        """Nearest pixels of a window."""
        rows = (np.arange(window.row, window.row + window.height) + 0.5) / factor * self.factor
        cols = (np.arange(window.col, window.col + window.width) + 0.5) / factor * self.factor
        image = self._array[0][np.ix_(rows.astype(int), cols.astype(int))]
        return np.stack([image] * self._lit), np.ones(image.shape, bool)


class RasterReference(ArrayReference):
    """Stand-in until the reference branch is merged."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None


def open_reference(
    path: str | Path, scene: RasterSource, radiometry: Radiometry
) -> RasterReference:
    """Stand-in until the reference branch is merged."""
    with rasterio.open(path) as raster:
        return RasterReference(raster.read(), scene, radiometry)  # type: ignore[arg-type]
