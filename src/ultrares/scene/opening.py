"""Rasters and products by the kind of their path: a Zarr, or anything that GDAL reads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ultrares.scene.profile import SceneProfile
from ultrares.scene.sink import CogSink
from ultrares.scene.source import RasterSource
from ultrares.scene.zarr_layout import is_zarr
from ultrares.scene.zarr_sink import Layout, ZarrSink
from ultrares.scene.zarr_source import ZarrSource

FileSink = CogSink | ZarrSink


Raster = RasterSource | ZarrSource


def open_raster(path: str | Path, variable: str | None = None) -> Raster:
    """Open a raster of whatever kind.

    Args:
        path: The file or folder.
        variable: Which raster of a Zarr that holds several.

    Raises:
        RasterError: It cannot be read.
    """
    return ZarrSource(path, variable) if is_zarr(path) else RasterSource(path)


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
