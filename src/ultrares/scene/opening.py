"""Rasters and products by the kind of their path: a Zarr, or anything that GDAL reads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ultrares.errors import OptionError
from ultrares.scene.profile import SceneProfile
from ultrares.scene.sink import CogSink
from ultrares.scene.source import RasterSource
from ultrares.scene.stac_input import asset_path, is_item
from ultrares.scene.zarr_layout import is_zarr
from ultrares.scene.zarr_sink import Layout, ZarrSink
from ultrares.scene.zarr_source import ZarrSource

FileSink = CogSink | ZarrSink


Raster = RasterSource | ZarrSource


def open_raster(path: str | Path, asset: str | None = None) -> Raster:
    """Open a raster of whatever kind.

    Args:
        path: The file or folder, or a STAC item that names it.
        asset: Which asset of an item, or which variable of a Zarr, that has several rasters.

    Raises:
        RasterError: It cannot be read.
    """
    if is_item(path):
        return open_raster(asset_path(path, asset))
    if is_zarr(path):
        return ZarrSource(path, asset)
    if asset is not None:
        raise OptionError(
            f"asset {asset!r}: {path} is neither a STAC item nor a Zarr; leave it out"
        )
    return RasterSource(path)


def open_sink(
    target: str | Path,
    profile: SceneProfile,
    tags: Mapping[str, str],
    *,
    overwrite: bool,
    layout: Layout | None = None,
) -> FileSink:
    """A sink of the kind that the target's name asks for.

    Args:
        target: Path of the result; ``.zarr`` for a Zarr, anything else for a GeoTIFF.
        profile: Size, type, place and metadata of the result.
        tags: More metadata, for provenance.
        overwrite: Whether the target may be replaced.
        layout: Sides of the chunks and shards of a Zarr.
    """
    if is_zarr(target):
        return ZarrSink(target, profile, tags, overwrite=overwrite, layout=layout)
    return CogSink(target, profile, tags, overwrite=overwrite)
