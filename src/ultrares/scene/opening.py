"""Rasters and products by the kind of their path: a Zarr, or anything that GDAL reads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ultrares.errors import OptionError, OutputError
from ultrares.scene.budget import LARGEST_BLOCK_CACHE
from ultrares.scene.choice import ALL_OF_IT, Choice
from ultrares.scene.cog_sink import CogSink
from ultrares.scene.names import shown
from ultrares.scene.profile import SceneProfile
from ultrares.scene.source import RasterSource
from ultrares.scene.stac_input import asset_path, is_item
from ultrares.scene.staging import Staging
from ultrares.scene.zarr_layout import is_zarr
from ultrares.scene.zarr_sink import Layout, ZarrSink
from ultrares.scene.zarr_source import ZarrSource

FileSink = CogSink | ZarrSink


Raster = RasterSource | ZarrSource


def open_raster(path: str | Path, asset: str | None = None, choice: Choice = ALL_OF_IT) -> Raster:
    """Open a raster of whatever kind.

    Args:
        path: The file or folder, or a STAC item that names it.
        asset: Which asset of an item, or which variable of a Zarr, that has several rasters.
        choice: Which subdataset and which bands of what GDAL reads.

    Raises:
        RasterError: It cannot be read.
        OptionError: What was chosen is not there, or not to be chosen of this kind.
    """
    if is_item(path):
        return open_raster(asset_path(path, asset), choice=choice)
    if is_zarr(path):
        if choice != ALL_OF_IT:
            raise OptionError(
                f"{path} is a Zarr: all bands of a variable are read; leave bands and subdataset out"
            )
        return ZarrSource(path, asset)
    if asset is not None:
        raise OptionError(
            f"asset {asset!r}: {path} is neither a STAC item nor a Zarr; leave it out"
        )
    return RasterSource(path, choice)


SUFFIXES = (".tif", ".tiff", ".zarr")
"""Endings of the names of results, in any case."""


def check_named(target: str | Path) -> None:
    """Refuse a result without a name, which an empty variable of a shell leads to.

    Raises:
        OutputError: It has none.
    """
    if not Path(target).name:
        raise OutputError(
            "the result has no name: pass the file to write, ending in .tif for a cloud-optimised GeoTIFF, or in .zarr "
            "for a Zarr"
        )


def check_kind(target: str | Path) -> None:
    """Refuse a result whose name promises another format than those that are written.

    Raises:
        OutputError: It does.
    """
    if Path(target).suffix.lower() not in SUFFIXES:
        raise OutputError(
            f"{shown(target)} is no name for a result: end it in .tif for a cloud-optimised GeoTIFF, or in .zarr "
            "for a Zarr"
        )


def open_sink(
    target: str | Path,
    profile: SceneProfile,
    tags: Mapping[str, str],
    *,
    overwrite: bool,
    layout: Layout | None = None,
    staging: Staging | None = None,
    cache: int = LARGEST_BLOCK_CACHE,
) -> FileSink:
    """A sink of the kind that the target's name asks for.

    Args:
        target: Path of the result; ``.zarr`` for a Zarr, else a GeoTIFF.
        profile: Size, type, place and metadata of the result.
        tags: More metadata, for provenance.
        overwrite: Whether the target may be replaced.
        layout: Sides of the chunks and shards of a Zarr.
        staging: Where finished tiles are kept, which the sink closes, whatever happens.
        cache: Bytes that GDAL may keep of decoded blocks.
    """
    if is_zarr(target):
        return ZarrSink(target, profile, tags, overwrite=overwrite, layout=layout, staging=staging)
    return CogSink(target, profile, tags, overwrite=overwrite, staging=staging, cache=cache)
