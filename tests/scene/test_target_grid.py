from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.crs import CRS

from ultrares.errors import OptionError, ScaleError
from ultrares.scene.grid_choice import Wanted, grid_like, grid_of_pixel_size, grid_of_scale
from ultrares.scene.profile import BandProfile, SceneProfile
from ultrares.scene.target_grid import Axis, TargetGrid
from ultrares.types import Shape, Window

UTM = CRS.from_epsg(32633)
NORTH_UP = Affine(10, 0, 500_000, 0, -10, 5_000_000)


def profile(
    rows: int = 30, cols: int = 40, transform: Affine | None = NORTH_UP, crs: CRS | None = UTM
) -> SceneProfile:
    return SceneProfile(
        Shape(rows, cols), np.dtype(np.uint8), (BandProfile(),), crs=crs, transform=transform
    )


@given(rows=st.integers(1, 400), cols=st.integers(1, 400), scale=st.floats(1.01, 128))
@settings(max_examples=100, deadline=None)
def test_the_footprint_is_kept_and_the_scale_is_as_near_as_whole_pixels_allow(
    rows: int, cols: int, scale: float
) -> None:
    grid = grid_of_scale(Shape(rows, cols), scale)
    for axis, length in ((grid.rows, rows), (grid.cols, cols)):
        assert axis.start == 0
        assert math.isclose(axis.size * axis.pitch, length, rel_tol=1e-12)
        assert axis.size > length
        assert abs(axis.size - scale * length) <= 0.5 or axis.size == length + 1
    assert grid.moved(Window(0, 0, rows, cols)) < 1e-9


@pytest.mark.parametrize("scale", [2, 3, 7, 10, 128])
def test_whole_scales_are_blocks(scale: int) -> None:
    grid = grid_of_scale(Shape(29, 31), scale)
    assert grid.factor == scale
    assert grid == TargetGrid.of_factor(Shape(29, 31), scale)


@pytest.mark.parametrize("scale", [1.5, 2.05, 3.7, 9.99])
def test_other_scales_are_not(scale: float) -> None:
    assert grid_of_scale(Shape(290, 310), scale).factor is None


def test_a_pixel_size_sets_each_axis() -> None:
    oblong = Affine(30, 0, 0, 0, -20, 0)
    grid = grid_of_pixel_size(profile(30, 40, oblong), 5)
    assert (grid.rows.size, grid.cols.size) == (120, 240)
    assert grid.transform(oblong) == Affine(5, 0, 0, 0, -5, 0)


def test_a_rotated_scene_keeps_its_rotation() -> None:
    turned = Affine.translation(1000, 2000) @ Affine.rotation(30) @ Affine.scale(10, -10)
    grid = grid_of_pixel_size(profile(30, 40, turned), 4)
    corners = [(0, 0), (grid.cols.size, grid.rows.size)]
    for (col, row), (theirs_col, theirs_row) in zip(corners, [(0, 0), (40, 30)], strict=True):
        ours, theirs = grid.transform(turned) @ (col, row), turned @ (theirs_col, theirs_row)
        assert math.dist(ours, theirs) < 1e-9


def write(path: Path, transform: Affine, size: tuple[int, int], crs: CRS = UTM) -> Path:
    with rasterio.open(
        path, "w", driver="GTiff", dtype="uint8", count=1, height=size[0], width=size[1],
        crs=crs, transform=transform,
    ) as file:  # fmt: skip
        file.write(np.ones((1, *size), np.uint8))
    return path


def test_another_raster_s_pixels_are_met_exactly(tmp_path: Path) -> None:
    theirs = Affine(3, 0, 499_997.5, 0, -3, 5_000_004.5)
    grid = grid_like(profile(), write(tmp_path / "like.tif", theirs, (400, 400)))
    ours = grid.transform(NORTH_UP)
    col, row = ~theirs @ (ours.c, ours.f)
    assert abs(col - round(col)) < 1e-9
    assert abs(row - round(row)) < 1e-9
    assert (ours.a, ours.e) == pytest.approx((3, -3))
    assert grid.moved(Window(0, 0, 30, 40)) <= 0.15 + 1e-9


def test_another_raster_that_ends_inside_the_scene_ends_the_result(tmp_path: Path) -> None:
    theirs = Affine(5, 0, 500_050, 0, -5, 4_999_900)
    grid = grid_like(profile(), write(tmp_path / "like.tif", theirs, (20, 30)))
    assert (grid.rows.size, grid.cols.size) == (20, 30)
    assert grid.transform(NORTH_UP) == theirs
    assert grid.factor == 2


@pytest.mark.parametrize(
    ("transform", "crs", "error", "words"),
    [
        (Affine(3, 0, 600_000, 0, -3, 5_000_000), UTM, OptionError, "does not overlap"),
        (Affine(3, 0, 500_000, 0, -3, 5_000_000), CRS.from_epsg(4326), OptionError, "reproject"),
        (Affine(10, 0, 500_003, 0, -10, 5_000_000), UTM, ScaleError, "does not enlarge"),
        (Affine(3, 1, 500_000, 1, -3, 5_000_000), UTM, OptionError, "rows and columns"),
        (Affine(3, 0, 500_000, 0, 3, 4_999_000), UTM, OptionError, "rows and columns"),
    ],
)
def test_grids_that_cannot_be_met_are_refused(
    tmp_path: Path, transform: Affine, crs: CRS, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        grid_like(profile(), write(tmp_path / "like.tif", transform, (400, 400), crs))


@pytest.mark.parametrize(
    ("wanted", "error", "words"),
    [
        (Wanted(), OptionError, "none of them"),
        (Wanted(scale=2, gsd=3), OptionError, "--scale and --gsd"),
        (Wanted(scale=1), ScaleError, "does not enlarge"),
        (Wanted(scale=0.5), ScaleError, "does not enlarge"),
        (Wanted(scale=math.nan), ScaleError, "does not enlarge"),
        (Wanted(scale=math.inf), ScaleError, "does not enlarge"),
    ],
)
def test_what_is_wanted_must_be_one_thing_that_enlarges(
    wanted: Wanted, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        wanted.check()


@pytest.mark.parametrize("size", [10, 12, 0, -1, math.nan])
def test_pixel_sizes_that_do_not_enlarge_are_refused(size: float) -> None:
    with pytest.raises((ScaleError, OptionError), match="--gsd"):
        grid_of_pixel_size(profile(), size)


def test_a_scene_without_a_transform_has_no_pixel_size() -> None:
    with pytest.raises(OptionError, match="no transform"):
        grid_of_pixel_size(profile(transform=None), 5)


@given(start=st.floats(-3, 3), pitch=st.floats(0.05, 0.95), at=st.floats(0, 20))
@settings(max_examples=60, deadline=None)
def test_touching_pixels_are_those_that_overlap(start: float, pitch: float, at: float) -> None:
    axis = Axis(start, pitch, 400)
    first, stop = axis.touching(at, at + 1.5)
    edges = axis.edges(0, 400)
    overlap = np.minimum(edges[1:], at + 1.5) - np.maximum(edges[:-1], at)
    inside = np.flatnonzero(overlap > 1e-5)
    if len(inside):
        assert first <= inside[0]
        assert stop >= inside[-1] + 1
        assert stop - first <= len(inside) + 2


@pytest.mark.parametrize("scale", [1.5, 2.5, 3.7, 5.5])
def test_a_centre_on_an_edge_belongs_to_the_pixel_after_it(scale: float) -> None:
    exact = Fraction(str(scale))
    wanted = [int((2 * number + 1) / (2 * exact)) for number in range(200)]
    # However the pitch was rounded on its way through a file.
    for pitch in (1 / scale, np.nextafter(1 / scale, 0), np.nextafter(1 / scale, 1)):
        assert Axis(0.0, float(pitch), 200).owners(0, 200).tolist() == wanted
        assert Axis(0.0, float(pitch), 200).owners(90, 60).tolist() == wanted[90:150]
