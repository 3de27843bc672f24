"""What a Zarr product says about itself, in the conventions that xarray, rioxarray and GDAL read.

A group holds ``image`` (band, y, x), ``mask`` where the scene has one, the centres of its pixels as ``x`` and
``y``, and ``spatial_ref``, which names the coordinate reference system (CF's grid mapping) and the transform.
"""

from __future__ import annotations

import base64
import json
import math
import struct
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.enums import ColorInterp
from rasterio.errors import CRSError
from rasterio.rpc import RPC

from ultrares.scene.profile import BandProfile, SceneProfile
from ultrares.types import Shape

IMAGE, MASK, MAPPING = "image", "mask", "spatial_ref"

MULTISCALES = {
    "name": "multiscales",
    "uuid": "d35379db-88df-4056-af3a-620245f8e347",
    "schema_url": "https://raw.githubusercontent.com/zarr-conventions/multiscales/refs/tags/v1/schema.json",
    "spec_url": "https://github.com/zarr-conventions/multiscales/blob/v1/README.md",
    "description": "Multiscale layout of arrays",
}
"""The convention by which overviews are found (https://github.com/zarr-conventions/multiscales)."""

_OWN = ("Conventions", "zarr_conventions", "multiscales", "bands", "namespaces")

Attributes = dict[str, Any]


def is_zarr(path: str | Path) -> bool:
    """Whether a path names a Zarr: by its suffix."""
    return Path(str(path)).suffix.lower() == ".zarr"


def group_attributes(
    profile: SceneProfile, tags: Mapping[str, str], levels: Sequence[str]
) -> Attributes:
    """Attributes of the group: metadata items, bands, and where the overviews are.

    Args:
        profile: Of the product.
        tags: More metadata items, for provenance.
        levels: Paths of the groups of the overviews, each twice as coarse as the one before.
    """
    spaces = {space: items for space, items in profile.tags.items() if space and items}
    paths = [IMAGE, *(f"{level}/{IMAGE}" for level in levels)]
    layout: list[Attributes] = [{"asset": IMAGE}]
    layout += [
        {"asset": path, "derived_from": before, "transform": {"scale": [2.0, 2.0]}}
        for before, path in pairwise(paths)
    ]
    return {
        **profile.tags.get("", {}),
        **tags,
        "Conventions": "CF-1.10",
        "bands": [_band_attributes(band) for band in profile.bands],
        "namespaces": spaces,
        "zarr_conventions": [MULTISCALES],
        "multiscales": {"layout": layout, "resampling_method": "average"},
    }


def image_attributes(profile: SceneProfile, nodata: float | None) -> Attributes:
    """Attributes of ``image``, by which xarray finds its place, its missing pixels and its units."""
    found: Attributes = {"grid_mapping": MAPPING, "coordinates": MAPPING}
    if nodata is not None:
        found["_FillValue"] = encode_fill(nodata, profile.dtype)
    names = [band.description for band in profile.bands]
    if all(names):
        found["long_name"] = names
    scales = {(band.scale, band.offset) for band in profile.bands}
    if len(scales) == 1 and scales != {(1.0, 0.0)}:
        (found["scale_factor"], found["add_offset"]), *_ = scales
    units = {band.unit for band in profile.bands}
    if len(units) == 1 and None not in units:
        found["units"] = units.pop()
    return found


def mapping_attributes(profile: SceneProfile) -> Attributes:
    """Attributes of ``spatial_ref``: the reference system, and what places pixels in it."""
    found: Attributes = {}
    if profile.crs is not None:
        found["crs_wkt"] = found["spatial_ref"] = profile.crs.to_wkt()
    if profile.transform is not None:
        found["GeoTransform"] = " ".join(repr(value) for value in profile.transform.to_gdal())
    if profile.gcps:
        found["gcps"] = json.dumps(
            {"type": "FeatureCollection", "features": [_feature(gcp) for gcp in profile.gcps]}
        )
    if profile.rpcs is not None:
        found["rpcs"] = profile.rpcs.to_gdal()
    return found


def centres(profile: SceneProfile) -> dict[str, tuple[NDArray[np.float64], Attributes]]:
    """Coordinates of pixel centres by dimension; none where rows and columns are not axes of the map."""
    transform = profile.transform
    if transform is None or transform.b or transform.d:
        return {}
    geographic = profile.crs is not None and profile.crs.is_geographic
    projected = ("projection_x_coordinate", "projection_y_coordinate")
    kinds = ("longitude", "latitude") if geographic else projected
    units = {"units": _unit(profile.crs)} if profile.crs is not None else {}
    x, y = (
        first + (np.arange(side, dtype=np.float64) + 0.5) * step
        for first, side, step in (
            (transform.c, profile.shape.width, transform.a),
            (transform.f, profile.shape.height, transform.e),
        )
    )
    return {
        "x": (x, {"axis": "X", "standard_name": kinds[0], **units}),
        "y": (y, {"axis": "Y", "standard_name": kinds[1], **units}),
    }


def read_bands(
    group: Mapping[str, Any], image: Mapping[str, Any], count: int, dtype: np.dtype
) -> tuple[BandProfile, ...]:
    """What attributes of a group and its image say about the bands, ours or anybody's."""
    nodata = decode_fill(image.get("_FillValue", image.get("missing_value")), dtype)
    described = group.get("bands")
    if isinstance(described, list) and len(described) == count:
        return tuple(_band(entry, nodata) for entry in described)
    names = image.get("long_name")
    names = names if isinstance(names, list) and len(names) == count else [None] * count
    return tuple(
        BandProfile(
            None if name is None else str(name),
            scale=float(image.get("scale_factor", 1.0)),
            offset=float(image.get("add_offset", 0.0)),
            unit=image.get("units"),
            nodata=nodata,
        )
        for name in names
    )


def read_tags(group: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Metadata items by namespace."""
    own = {key: value for key, value in group.items() if isinstance(value, str) and key not in _OWN}
    spaces = group.get("namespaces")
    return {**(spaces if isinstance(spaces, dict) else {}), "": own}


def read_place(
    mapping: Mapping[str, Any],
) -> tuple[CRS | None, Affine | None, tuple[GroundControlPoint, ...], RPC | None]:
    """Reference system, transform, control points and polynomials of a grid mapping's attributes."""
    text = mapping.get("crs_wkt") or mapping.get("spatial_ref")
    try:
        crs = CRS.from_user_input(text) if text else None
    except CRSError:
        crs = None
    numbers = str(mapping.get("GeoTransform", "")).split()
    transform = Affine.from_gdal(*map(float, numbers)) if len(numbers) == 6 else None
    points = json.loads(mapping["gcps"])["features"] if "gcps" in mapping else []
    rpcs = mapping.get("rpcs")
    return (
        crs,
        transform,
        tuple(_gcp(point) for point in points),
        RPC.from_gdal(rpcs) if isinstance(rpcs, dict) else None,
    )


def encode_fill(value: float, dtype: np.dtype) -> int | str:
    """A fill value as xarray stores it in Zarr: floats as the base64 of their eight bytes."""
    if dtype.kind in "iu":
        return int(value)
    return base64.standard_b64encode(struct.pack("<d", value)).decode()


def decode_fill(value: Any, dtype: np.dtype) -> float | None:
    """The fill value that was stored, by xarray or as a number; None if there is none."""
    if isinstance(value, str):
        try:
            if dtype.kind == "f":
                return float(struct.unpack("<d", base64.standard_b64decode(value))[0])
            return float(value)
        except (ValueError, struct.error):
            return math.nan if value.lower() == "nan" else None
    return None if value is None else float(value)


def shape_of(level: int, shape: Shape) -> Shape:
    """Height and width of an overview that is ``2 ** level`` times coarser; what is left over counts."""
    return Shape(*(-(-side // 2**level) for side in shape))


def _band_attributes(band: BandProfile) -> Attributes:
    return {
        "description": band.description,
        "colorinterp": band.colorinterp.name,
        "scale": band.scale,
        "offset": band.offset,
        "unit": band.unit,
        "nodata": band.nodata is not None,
        "tags": band.tags,
    }


def _band(entry: Mapping[str, Any], nodata: float | None) -> BandProfile:
    colour = entry.get("colorinterp", "undefined")
    return BandProfile(
        description=entry.get("description"),
        colorinterp=ColorInterp.__members__.get(colour, ColorInterp.undefined),
        scale=float(entry.get("scale", 1.0)),
        offset=float(entry.get("offset", 0.0)),
        unit=entry.get("unit"),
        nodata=nodata if entry.get("nodata") else None,
        tags=entry.get("tags", {}),
    )


def _feature(gcp: GroundControlPoint) -> Attributes:
    place = [gcp.x, gcp.y] if gcp.z is None else [gcp.x, gcp.y, gcp.z]
    return {
        "type": "Feature",
        "properties": {"id": gcp.id, "info": gcp.info, "row": gcp.row, "col": gcp.col},
        "geometry": {"type": "Point", "coordinates": place},
    }


def _gcp(feature: Mapping[str, Any]) -> GroundControlPoint:
    said, place = feature["properties"], feature["geometry"]["coordinates"]
    return GroundControlPoint(
        said["row"], said["col"], *place, id=said.get("id"), info=said.get("info")
    )


def _unit(crs: CRS) -> str:
    if crs.is_geographic:
        return "degree"
    name: str = crs.linear_units
    return "metre" if name in ("metre", "meter", "m") else name
