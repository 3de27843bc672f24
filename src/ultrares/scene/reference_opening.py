"""A file as a scene's reference, or the sentence why it cannot be one."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import rasterio
from rasterio.enums import ColorInterp
from rasterio.errors import CRSError, NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader
from rasterio.transform import array_bounds
from rasterio.warp import transform_bounds

from ultrares.errors import ReferenceImageError
from ultrares.scene.opening import Raster
from ultrares.scene.radiometry import Radiometry
from ultrares.scene.reference import RasterReference


def open_reference(path: str | Path, scene: Raster, radiometry: Radiometry) -> RasterReference:
    """Open any finer raster that overlaps a scene, whatever its system, bands and data type.

    Raises:
        ReferenceImageError: It cannot be opened or read unambiguously, lies elsewhere or too far beside
            the scene, or is no finer.
    """
    check_overlap(path, scene)
    profile = scene.profile
    assert profile.transform is not None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            dataset = rasterio.open(path)
        _refuse_kinds(dataset)
        return RasterReference(dataset, (profile.transform, profile.crs), scene, radiometry)
    except RasterioError as error:
        raise ReferenceImageError(f"reference {path} cannot be read: {error}") from error


def check_overlap(reference: str | Path, scene: Raster) -> None:
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
            f"{left:.10g}, {bottom:.10g} to {right:.10g}, {top:.10g} in the scene's {profile.crs.to_string()}, the scene "
            f"{west:.10g}, {south:.10g} to {east:.10g}, {north:.10g}"
        )


def _refuse_kinds(dataset: DatasetReader) -> None:
    """Values that are no amounts of light cannot be averaged."""
    if any(np.dtype(dtype).kind == "c" for dtype in dataset.dtypes):
        raise ReferenceImageError(
            f"reference {dataset.name} has complex pixels: convert it to intensity first"
        )
    if ColorInterp.palette in dataset.colorinterp:
        raise ReferenceImageError(
            f"reference {dataset.name} has a palette, whose numbers are no colours: expand it to RGB first"
        )
