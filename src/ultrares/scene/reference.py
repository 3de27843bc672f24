"""Whether a reference raster shows any of the scene."""

from __future__ import annotations

import warnings
from pathlib import Path

import rasterio
from rasterio.errors import CRSError, NotGeoreferencedWarning, RasterioError
from rasterio.transform import array_bounds
from rasterio.warp import transform_bounds

from ultrares.errors import ReferenceImageError
from ultrares.scene.source import RasterSource


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
