"""All that a GeoTIFF says but its pixels, as a virtual raster that lends it to a file made of tiles."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

import numpy as np
import rasterio
import rasterio.shutil
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.enums import ColorInterp
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import DatasetWriter
from rasterio.windows import Window as RasterWindow

from ultrares.scene.profile import SceneProfile, Tags
from ultrares.scene.statistics import Statistics
from ultrares.scene.tile_file import BLOCK


def write_template(path: Path, profile: SceneProfile, tags: Mapping[str, str]) -> None:
    """Write a virtual raster (VRT) without sources that says all there is to say.

    Args:
        path: Of the VRT.
        profile: Size, type, place and metadata.
        tags: More metadata, for provenance.
    """
    sparse = path.with_suffix(".tif")
    _create(sparse, profile, tags)
    rasterio.shutil.copy(sparse, path, driver="VRT")
    sparse.unlink()
    _complete(path, profile)


def _create(path: Path, profile: SceneProfile, tags: Mapping[str, str]) -> None:
    """A GeoTIFF without pixels that says all there is to say."""
    colours = [band.colorinterp for band in profile.bands]
    rgb = colours[:3] == [ColorInterp.red, ColorInterp.green, ColorInterp.blue]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        dataset = rasterio.open(
            path,
            "w",
            driver="GTiff",
            height=profile.shape.height,
            width=profile.shape.width,
            count=len(profile.bands),
            dtype=profile.dtype.name,
            nodata=profile.storable_nodata,
            tiled=True,
            blockxsize=BLOCK,
            blockysize=BLOCK,
            sparse_ok=True,
            bigtiff="if_safer",
            photometric="rgb" if rgb and profile.dtype in ("uint8", "uint16") else "minisblack",
            alpha="unspecified" if ColorInterp.alpha in colours else "no",
        )
    with dataset:
        _describe(dataset, profile, tags)
        if profile.masked:
            dataset.write_mask(np.zeros((1, 1), np.uint8), window=RasterWindow(0, 0, 1, 1))


def _complete(path: Path, profile: SceneProfile) -> None:
    """Say what GDAL leaves out of a virtual raster, or rounds: namespaces, control points and scales."""
    tree = ElementTree.parse(path)
    root = tree.getroot()
    _add_spaces(root, profile.tags)
    for element, band in zip(root.findall("VRTRasterBand"), profile.bands, strict=True):
        _add_spaces(element, band.tags)
        for name, value in (("Scale", band.scale), ("Offset", band.offset)):
            for found in element.findall(name):
                found.text = repr(float(value))
    for found, point in zip(root.findall("GCPList/GCP"), profile.gcps, strict=True):
        for name, number in zip(("Pixel", "Line", "X", "Y", "Z"), _numbers(point), strict=True):
            found.set(name, repr(float(number)))
    tree.write(path)


def add_statistics(template: Path, path: Path, found: Sequence[Statistics | None]) -> None:
    """Write a virtual raster that says, beside all else, what its bands are like."""
    tree = ElementTree.parse(template)
    for band, one in zip(tree.getroot().findall("VRTRasterBand"), found, strict=False):
        items = {} if one is None else one.items()
        block = next((each for each in band.findall("Metadata") if not each.get("domain")), None)
        if block is None:
            block = Element("Metadata")
            band.insert(0, block)
        for old in [each for each in block if each.get("key") in items]:
            block.remove(old)
        for key, value in items.items():
            SubElement(block, "MDI", key=key).text = value
    tree.write(path)


def _numbers(point: GroundControlPoint) -> tuple[float, ...]:
    return point.col, point.row, point.x, point.y, point.z or 0.0


def _add_spaces(element: Element, spaces: Tags) -> None:
    have = {each.get("domain", "") for each in element.findall("Metadata")}
    for space, items in spaces.items():
        if items and space not in have:
            block = Element("Metadata", domain=space)
            for key, value in items.items():
                SubElement(block, "MDI", key=key).text = value
            element.insert(0, block)


def _describe(dataset: DatasetWriter, profile: SceneProfile, tags: Mapping[str, str]) -> None:
    """Set everything but pixels."""
    _place(dataset, profile)
    dataset.colorinterp = [band.colorinterp for band in profile.bands]
    dataset.scales = [band.scale for band in profile.bands]
    dataset.offsets = [band.offset for band in profile.bands]
    dataset.units = [band.unit or "" for band in profile.bands]
    for index, band in enumerate(profile.bands, start=1):
        if band.description:
            dataset.set_band_description(index, band.description)
        for space, items in band.tags.items():
            _update_tags(dataset, items, space, index)
    for space, items in profile.tags.items():
        _update_tags(dataset, items, space, 0)
    _update_tags(dataset, tags, "", 0)


def _place(dataset: DatasetWriter, profile: SceneProfile) -> None:
    """Set where the pixels lie; GeoTIFF holds a transform or control points, not both."""
    if profile.gcps:
        # rasterio needs a CRS, if an empty one.
        dataset.gcps = (list(profile.gcps), profile.crs or CRS())
    elif profile.crs is not None:
        dataset.crs = profile.crs
    if profile.transform is not None:
        dataset.transform = profile.transform
    if profile.rpcs is not None:
        dataset.rpcs = profile.rpcs


def _update_tags(dataset: DatasetWriter, items: Mapping[str, str], space: str, index: int) -> None:
    if items:
        dataset.update_tags(index, ns=space or None, **items)
