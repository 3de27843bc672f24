"""Coordinates of the finer pixels against rasterio's own arithmetic and closed forms."""

from __future__ import annotations

import json

import numpy as np
import pytest
import rioxarray  # noqa: F401 - the accessor `rio`
import xarray as xr
from affine import Affine

from ultrares.errors import InputError
from ultrares.scene.grid_choice import grid_of_scale
from ultrares.types import Shape
from ultrares.xarray.places import finer_centres, finer_coordinates


@pytest.mark.parametrize("scale", [2, 3, 2.5])
def test_centres_are_those_of_the_finer_transform(scale):
    coarse = Affine(28.5, 0, 301_234.5, 0, -28.5, 9_112_345.25)
    grid = grid_of_scale(Shape(10, 12), scale)
    fine = grid.transform(coarse)
    rows = [(fine @ (0.5, row + 0.5))[1] for row in range(grid.rows.size)]
    centres = np.array([(coarse @ (0.5, row + 0.5))[1] for row in range(10)])
    np.testing.assert_allclose(finer_centres(centres, grid.rows, "y"), rows, rtol=1e-14)


def test_uneven_centres_are_interpolated_and_go_on_at_the_ends():
    axis = grid_of_scale(Shape(3, 3), 2).rows
    centres = np.array([0.0, 1.0, 4.0])
    expected = [-0.25, 0.25, 0.75, 1.75, 3.25, 4.75]
    np.testing.assert_allclose(finer_centres(centres, axis, "y"), expected)


@pytest.mark.parametrize(
    ("values", "words"), [(np.array([1.0]), "single value"), (np.array(["a", "b"]), "drop it")]
)
def test_what_cannot_be_refined_is_named(values, words):
    with pytest.raises(InputError, match=f"'north'.*{words}"):
        finer_centres(values, grid_of_scale(Shape(2, 2), 2).rows, "north")


def test_the_reference_system_moves_with_the_pixels():
    transform = Affine(10, 2, 5e5, 1, -10, 5e6)
    array = xr.DataArray(np.zeros((4, 6)), dims=("y", "x")).rio.write_crs(32633)
    array = array.rio.write_transform(transform)
    coords = finer_coordinates(array, "y", "x", grid_of_scale(Shape(4, 6), 2))
    fine = xr.DataArray(np.zeros((8, 12)), dims=("y", "x"), coords=coords)
    assert fine.rio.crs == array.rio.crs
    assert fine.rio.transform(recalc=False).almost_equals(transform @ Affine.scale(0.5))
    assert array.rio.transform(recalc=False).almost_equals(transform)


@pytest.mark.parametrize("form", [json.dumps, lambda points: points])
def test_control_points_move_with_the_pixels(form):
    def points(row: float, col: float) -> dict[str, object]:
        place = {"id": "1", "row": row, "col": col}
        feature = {"type": "Feature", "properties": place, "geometry": {"type": "Point"}}
        return {"type": "FeatureCollection", "features": [feature]}

    given = form(points(1.5, 3))
    array = xr.DataArray(
        np.zeros((4, 6)), dims=("y", "x"), coords={"spatial_ref": ((), 0, {"gcps": given})}
    )
    coords = finer_coordinates(array, "y", "x", grid_of_scale(Shape(4, 6), 4))
    assert coords["spatial_ref"].attrs["gcps"] == form(points(6.0, 12.0))
    assert array.spatial_ref.attrs["gcps"] == form(points(1.5, 3))


def test_other_coordinates_stay_and_those_of_the_plane_are_left_out():
    array = xr.DataArray(
        np.zeros((2, 4, 6)),
        dims=("band", "y", "x"),
        coords={
            "band": ["red", "nir"],
            "time": np.datetime64("2024-05-01"),
            "y": np.arange(4.0),
            "longitude": (("y", "x"), np.zeros((4, 6))),
        },
    )
    coords = finer_coordinates(array, "y", "x", grid_of_scale(Shape(4, 6), 2))
    assert set(coords) == {"band", "time", "y"}
    assert list(coords["band"].values) == ["red", "nir"]
