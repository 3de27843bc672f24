from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from affine import Affine
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from shapely.geometry import shape

from tests.scene.test_grid import polynomial
from ultrares.scene.footprint import footprint
from ultrares.scene.profile import BandProfile, SceneProfile
from ultrares.types import Shape

PLAIN = SceneProfile(Shape(100, 200), np.dtype("uint8"), (BandProfile(),))


def outline(epsg: int, transform: Affine) -> Any:
    found = footprint(replace(PLAIN, crs=CRS.from_epsg(epsg), transform=transform))
    assert found is not None
    return found


def geographic(west: float, south: float, east: float, north: float) -> Affine:
    return Affine((east - west) / 200, 0, west, 0, (south - north) / 100, north)


@pytest.mark.parametrize("turned", [False, True], ids=["north up", "south up"])
def test_an_outline_runs_counterclockwise_around_the_raster(turned: bool) -> None:
    grid = geographic(5, 40, 7, 41)
    if turned:
        grid = geographic(5, 41, 7, 40)
    found = outline(4326, grid)
    polygon = shape(found.geometry)
    assert polygon.is_valid
    assert polygon.exterior.is_ccw
    assert polygon.area == pytest.approx(2)
    np.testing.assert_allclose(found.bbox, [5, 40, 7, 41])


def test_sides_are_curved_where_the_map_is() -> None:
    """A side of a polar map that is a straight line between its ends would miss half a degree."""
    found = outline(3413, Affine(5000, 0, 500_000, 0, -5000, -500_000))
    polygon = shape(found.geometry)
    corners = shape({"type": "Polygon", "coordinates": [found.geometry["coordinates"][0][::16]]})
    assert polygon.is_valid
    assert polygon.symmetric_difference(corners).area > 0.01 * polygon.area


@pytest.mark.parametrize(
    ("epsg", "grid"),
    [
        (4326, geographic(179, -10, 181, -8)),
        (4326, geographic(-181, -10, -179, -8)),
        (32760, Affine(1000, 0, 700_000, 0, -2000, 8_200_000)),
        (3857, Affine(1500, 0, 19_900_000, 0, -1000, 100_000)),
    ],
)
def test_what_crosses_the_antimeridian_is_cut_there(epsg: int, grid: Affine) -> None:
    found = outline(epsg, grid)
    polygon = shape(found.geometry)
    assert found.geometry["type"] == "MultiPolygon"
    assert polygon.is_valid
    assert all(part.exterior.is_ccw for part in polygon.geoms)
    west, south, east, north = found.bbox
    assert 178 < west < 180
    assert -180 < east < -177
    assert polygon.area < 3.1 * (north - south)
    assert polygon.bounds[0] == -180
    assert polygon.bounds[2] == 180


def test_the_whole_globe_is_one_or_two_halves() -> None:
    assert shape(outline(4326, geographic(-180, -90, 180, 90)).geometry).area == 360 * 180
    halves = outline(4326, geographic(0, -90, 360, 90))
    assert shape(halves.geometry).area == pytest.approx(360 * 180)


@pytest.mark.parametrize(("epsg", "sign"), [(3413, 1), (3031, -1)])
def test_an_outline_around_a_pole_holds_it(epsg: int, sign: int) -> None:
    found = outline(epsg, Affine(10_000, 0, -1e6, 0, -20_000, 1e6))
    polygon = shape(found.geometry)
    assert polygon.is_valid
    assert polygon.contains(shape({"type": "Point", "coordinates": [33, 89.9 * sign]}))
    assert found.bbox[::2] == [-180, 180]
    assert sign * 90 in found.bbox


def test_control_points_and_polynomials_place_a_raster_too() -> None:
    gcps = tuple(
        GroundControlPoint(row, col, 5 + col / 100, 41 - row / 100)
        for row, col in ((0, 0), (0, 200), (100, 0), (100, 200))
    )
    placed = replace(PLAIN, crs=CRS.from_epsg(4326), gcps=gcps)
    found = footprint(placed)
    assert found is not None
    np.testing.assert_allclose(found.bbox, [5, 40, 7, 41], atol=1e-6)
    assert footprint(replace(PLAIN, rpcs=polynomial())) is not None


def test_nowhere_is_nowhere() -> None:
    assert footprint(PLAIN) is None
    assert footprint(replace(PLAIN, transform=geographic(5, 40, 7, 41))) is None
