"""Rasters that cannot be upscaled, each with the reason and the way out."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from affine import Affine
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.io import DatasetReader

from ultrares.errors import RasterError
from ultrares.scene import landsat, sentinel2
from ultrares.scene.grid import rounding
from ultrares.scene.profile import SceneProfile

LARGEST_NODATA = 2**53
"""Nodata passes through GDAL and rasterio as float64, which counts by one up to here."""

LARGEST_BLOCK = 2**30
"""Bytes of a block, which GDAL decodes as a whole whatever part of it is asked for."""

MOST_BANDS = 2048
"""A tile of so many bands takes 2 GB at the smallest."""

COARSEST_PLACE = 1e-3
"""Pixels by which coordinates may be rounded."""

_KINDS = "biuf"


def refuse(name: str, path: str, dataset: DatasetReader, bands: Sequence[int]) -> None:
    """Refuse what cannot be read unambiguously, saying what to do instead.

    Args:
        name: How sentences call the raster.
        path: Where it is, for those products whose names tell what they hold.
        dataset: The open raster.
        bands: Numbers of the bands that are read, from 1.

    Raises:
        RasterError: It is of a kind that cannot be upscaled.
    """
    if dataset.count == 0 or 0 in dataset.shape:
        raise RasterError(f"{name} has no pixels")
    if len(bands) > MOST_BANDS:
        raise RasterError(
            f"{name} has {len(bands)} bands, more than fit into memory; choose up to {MOST_BANDS} of "
            "them by --bands"
        )
    colours = dataset.colorinterp
    _refuse_types(name, [dataset.dtypes[band - 1] for band in bands])
    _refuse_blocks(name, dataset)
    _refuse_nodata(
        name, dataset, [band for band in bands if colours[band - 1] != ColorInterp.alpha]
    )
    _refuse_masks(name, dataset, bands)
    if ColorInterp.palette in [colours[band - 1] for band in bands]:
        raise RasterError(
            f"{name} has a colour palette, whose indices cannot be averaged; expand it first with "
            f"`gdal_translate -expand rgb {name} expanded.tif`"
        )
    _refuse_of_products(name, path, dataset, bands)


def refuse_place(name: str, profile: SceneProfile) -> None:
    """Refuse a place on the ground that is none.

    Raises:
        RasterError: A transform cannot be inverted, or coordinates are not finite.
    """
    transform = profile.transform
    if transform is not None and not _is_invertible(transform):
        raise RasterError(
            f"{name} has a transform that gives its pixels no size ({_numbers(transform)}); set the right "
            "one, or none, for example with `rio edit-info --transform`"
        )
    if transform is not None and rounding(transform, profile.shape) > COARSEST_PLACE:
        raise RasterError(
            f"{name} has coordinates too large for the size of its pixels ({_numbers(transform)}): "
            "neighbours cannot be told apart; set the right transform, for example with "
            "`rio edit-info --transform`"
        )
    places = [(point.row, point.col, point.x, point.y) for point in profile.gcps]
    if not np.isfinite(places).all():
        raise RasterError(
            f"{name} has ground control points that are not finite; remove or repair them"
        )
    rpcs = profile.rpcs
    if rpcs is not None and not (
        np.isfinite([rpcs.line_off, rpcs.samp_off, rpcs.line_scale, rpcs.samp_scale]).all()
        and rpcs.line_scale
        and rpcs.samp_scale
    ):
        raise RasterError(
            f"{name} has rational polynomials (RPC) with a scale of zero or numbers that are not finite; "
            "remove or repair them"
        )


def _is_invertible(transform: Affine) -> bool:
    determinant = transform.determinant
    if not math.isfinite(determinant) or determinant == 0:
        return False
    numbers = (*tuple(transform), *tuple(~transform))
    return all(math.isfinite(number) for number in numbers)


def _numbers(transform: Affine) -> str:
    return ", ".join(f"{value:g}" for value in tuple(transform)[:6])


def _refuse_types(name: str, dtypes: Sequence[str]) -> None:
    types = sorted(set(dtypes))
    if len(types) > 1:
        raise RasterError(
            f"{name} mixes the data types {', '.join(types)}; convert it to one of them"
        )
    if "complex" in types[0]:
        raise RasterError(
            f"{name} holds complex numbers ({types[0]}), whose phase cannot be upscaled; "
            "pass amplitude or intensity"
        )
    if np.dtype(types[0]).kind not in _KINDS:
        raise RasterError(
            f"{name} holds {types[0]}, which is no number of a kind that can be upscaled"
        )


def _refuse_blocks(name: str, dataset: DatasetReader) -> None:
    """Refuse what GDAL could only decode with more memory than there may be."""
    height, width = dataset.block_shapes[0]
    together = (
        dataset.count if dataset.tags(ns="IMAGE_STRUCTURE").get("INTERLEAVE") == "PIXEL" else 1
    )
    size = height * width * together * np.dtype(dataset.dtypes[0]).itemsize
    if size > LARGEST_BLOCK:
        raise RasterError(
            f"{name} is stored in blocks of {width} x {height} pixels, each of which takes "
            f"{size / 1e9:.3g} GB to decode; store it in tiles with `gdal_translate -co TILED=YES`"
        )


def _refuse_nodata(name: str, dataset: DatasetReader, lit: Sequence[int]) -> None:
    """Refuse what no GeoTIFF could say about missing pixels."""
    values = [dataset.nodatavals[band - 1] for band in lit]
    if len({repr(value) for value in values}) > 1:
        raise RasterError(
            f"{name} has bands of different nodata values ({', '.join(map(str, values))}); "
            "convert it to one value for all bands"
        )
    value = values[0] if values else None
    whole = np.dtype(dataset.dtypes[0]).kind in "iu"
    if whole and value is not None and math.isfinite(value) and value != int(value):
        raise RasterError(
            f"{name} has the nodata value {value:g}, which no whole number equals; set the right one, for "
            "example with `rio edit-info --nodata`"
        )
    # rasterio reports the largest unsigned value as none at all, though GDAL masks by it.
    lost = MaskFlags.nodata in dataset.mask_flag_enums[0] and dataset.nodatavals[0] is None
    wide = "int64" in dataset.dtypes[0]
    if lost or (wide and abs(dataset.nodatavals[0] or 0) > LARGEST_NODATA):
        raise RasterError(
            f"{name} has a 64-bit nodata value too large to be told from its neighbours; "
            "convert it to another nodata value or to 32 bits"
        )


def _refuse_masks(name: str, dataset: DatasetReader, bands: Sequence[int]) -> None:
    """Refuse masks of single bands, for which a GeoTIFF has no place."""
    flags = dataset.mask_flag_enums
    if any(not flags[band - 1] for band in bands):
        raise RasterError(
            f"{name} has a mask for each band, of which a GeoTIFF can hold one only; mark missing pixels "
            "by a nodata value instead"
        )


def _refuse_of_products(name: str, path: str, dataset: DatasetReader, bands: Sequence[int]) -> None:
    """Refuse images that are not there, and classes or flags, the mean of which means nothing."""
    if dataset.driver == sentinel2.DRIVER and (lost := sentinel2.missing_images(dataset, bands)):
        raise RasterError(
            f"{name} lacks the images of {', '.join(lost)}, or they cannot be opened; download it again or "
            "leave them out by --bands"
        )
    classes = {dataset.tags(band).get("BANDNAME", "") for band in bands} & {*sentinel2.CLASSES}
    if dataset.driver == sentinel2.DRIVER and classes:
        raise RasterError(
            f"{name} holds classes in {', '.join(sorted(classes))}, which cannot be averaged; leave them "
            "out by --bands"
        )
    if landsat.holds_flags(path):
        raise RasterError(
            f"{name} holds bit flags, which cannot be averaged; repeat its pixels instead with "
            "`gdal_translate -r nearest -outsize`"
        )
