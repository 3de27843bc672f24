"""Where a raster lies on the globe: its outline in longitude and latitude, safe at the antimeridian."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.transform import AffineTransformer, GCPTransformer, RPCTransformer
from rasterio.warp import transform as transform_points

from ultrares.scene.profile import SceneProfile

PER_SIDE = 16
"""Points on each side of the outline: straight sides of a map are curved on the globe."""

Floats = NDArray[np.float64]
Ring = NDArray[np.float64]


class Footprint(NamedTuple):
    """An outline as GeoJSON (RFC 7946).

    Attributes:
        geometry: A polygon, or several where it is cut at the antimeridian.
        bbox: West, south, east, north; west is above east where it crosses the antimeridian.
    """

    geometry: dict[str, Any]
    bbox: list[float]


def footprint(profile: SceneProfile) -> Footprint | None:
    """The outline of a raster, or None where nothing says how it lies on the globe."""
    height, width = profile.shape
    side = np.linspace(0, 1, PER_SIDE + 1)[:-1]
    # Counterclockwise on a map whose rows run down: left side, lower, right, upper.
    rows = np.concatenate([side, np.ones(PER_SIDE), 1 - side, np.zeros(PER_SIDE)]) * height
    cols = np.concatenate([np.zeros(PER_SIDE), side, np.ones(PER_SIDE), 1 - side]) * width
    places = _places(profile, rows, cols)
    if places is None or not np.isfinite(places).all():
        return None
    polygons = _on_globe(places)
    bounds = np.array([(*ring.min(axis=0), *ring.max(axis=0)) for ring in polygons])
    (west, south), (east, north) = bounds[:, :2].min(axis=0), bounds[:, 2:].max(axis=0)
    if len(polygons) > 1:
        west, east = bounds[bounds[:, 0].argmax(), 0], bounds[bounds[:, 2].argmin(), 2]
    coordinates = [[_counterclockwise(ring).tolist()] for ring in polygons]
    geometry = (
        {"type": "Polygon", "coordinates": coordinates[0]}
        if len(polygons) == 1
        else {"type": "MultiPolygon", "coordinates": coordinates}
    )
    return Footprint(geometry, [float(value) for value in (west, south, east, north)])


def _places(profile: SceneProfile, rows: Floats, cols: Floats) -> Ring | None:
    """Longitudes and latitudes of corners of pixels, (n, 2)."""
    transformer, crs = _transformer(profile)
    if transformer is None or crs is None:
        return None
    with transformer:
        x, y = transformer.xy(rows, cols, offset="ul")
    return np.array(transform_points(crs, CRS.from_epsg(4326), x, y)).T


def _transformer(profile: SceneProfile) -> tuple[Any, CRS | None]:
    if profile.transform is not None:
        return AffineTransformer(profile.transform), profile.crs
    if len(profile.gcps) > 2:
        return GCPTransformer(list(profile.gcps)), profile.crs
    if profile.rpcs is not None:
        return RPCTransformer(profile.rpcs, rpc_height=profile.rpcs.height_off), CRS.from_epsg(4326)
    return None, None


def _on_globe(ring: Ring) -> list[Ring]:
    """An outline as one polygon or as two, east and west of the antimeridian."""
    closed = np.concatenate([ring, ring[:1]])
    longitudes = np.unwrap(closed[:, 0], period=360)
    turn = longitudes[-1] - longitudes[0]
    if abs(turn) > 180:
        return [_around_pole(ring)]
    unwrapped = np.column_stack([longitudes[:-1], ring[:, 1]])
    # Longitudes that are whole turns are so up to rounding.
    unwrapped[:, 0] -= 360 * np.floor((unwrapped[:, 0].min() + 180 + 1e-9) / 360)
    if unwrapped[:, 0].max() <= 180 + 1e-9:
        return [_bounded(unwrapped)]
    east, west = (_cut(unwrapped, 180, above=above) for above in (False, True))
    west[:, 0] -= 360
    return [_bounded(east), _bounded(west)]


def _around_pole(ring: Ring) -> Ring:
    """The part of the globe between an outline that runs around a pole and the pole."""
    pole = 90.0 if ring[:, 1].mean() > 0 else -90.0
    longitudes = (ring[:, 0] + 180) % 360 - 180
    order = longitudes.argsort()
    sorted_ring = np.column_stack([longitudes[order], ring[order, 1]])
    edge = np.interp(180, [sorted_ring[-1, 0], sorted_ring[0, 0] + 360], sorted_ring[[-1, 0], 1])
    ends = [[180, edge], [180, pole], [-180, pole], [-180, edge]]
    return np.concatenate([sorted_ring, ends])


def _cut(ring: Ring, longitude: float, *, above: bool) -> Ring:
    """The part of a polygon on one side of a longitude."""
    kept: list[list[float]] = []
    for (x, y), (next_x, next_y) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
        inside, next_inside = (
            value >= longitude if above else value <= longitude for value in (x, next_x)
        )
        if inside:
            kept.append([x, y])
        if inside != next_inside:
            kept.append([longitude, y + (next_y - y) * (longitude - x) / (next_x - x)])
    return np.array(kept)


def _bounded(ring: Ring) -> Ring:
    return ring.clip([-180, -90], [180, 90])


def _counterclockwise(ring: Ring) -> Ring:
    """The ring closed, with its inside on the left."""
    closed = np.concatenate([ring, ring[:1]])
    x, y = closed.T
    area = (x[:-1] * y[1:] - x[1:] * y[:-1]).sum()
    return closed if area >= 0 else closed[::-1]
