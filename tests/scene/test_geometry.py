"""A product lies where its source does, to a billionth of a pixel, whatever says where that is."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.rpc import RPC
from rasterio.transform import GCPTransformer, RPCTransformer
from rio_cogeo.cogeo import cog_validate

import ultrares
from tests.scene.conftest import UTM, Writer
from ultrares import Model
from ultrares.errors import RasterError
from ultrares.scene.grid import footprint_distance, rounding
from ultrares.scene.profile import BandProfile, SceneProfile
from ultrares.scene.refusal import COARSEST_PLACE, refuse_place
from ultrares.types import Shape, Window

IMAGE = np.random.default_rng(0).integers(1, 255, (1, 12, 17)).astype(np.uint8)
BILLIONTH = 1e-9

sizes = st.floats(1e-3, 1e5)
places = st.floats(-1e7, 1e7)
scales = st.integers(2, 128)


@st.composite
def transforms(draw: st.DrawFn) -> Affine:
    """Rotated, sheared, mirrored, south-up: any transform whose pixels have a size."""
    across, down = draw(sizes), draw(sizes) * draw(st.sampled_from((-1, 1)))
    turned = Affine.rotation(draw(st.floats(-180, 180))) @ Affine.shear(draw(st.floats(-60, 60)), 0)
    return Affine.translation(draw(places), draw(places)) @ turned @ Affine.scale(across, down)


def scene(**where: object) -> SceneProfile:
    return SceneProfile(Shape(40, 70), np.dtype("uint8"), (BandProfile(),), **where)  # type: ignore[arg-type]


@settings(max_examples=40, deadline=None)
@given(transforms(), scales, st.integers(0, 30), st.integers(0, 60))
def test_any_transform_keeps_its_footprint(
    transform: Affine, scale: int, row: int, col: int
) -> None:
    assume(rounding(transform, Shape(40, 70)) < 1e-12)
    window = Window(row, col, 40 - row, 70 - col)
    fine = scene(transform=transform).upscaled(scale, window)
    assert fine.transform is not None
    part = transform @ Affine.translation(col, row)
    size = window.height, window.width
    assert footprint_distance(part, size, fine.transform, fine.shape) < BILLIONTH


@settings(max_examples=40, deadline=None)
@given(transforms(), scales)
def test_finer_grids_are_those_of_odc_geo(transform: Affine, scale: int) -> None:
    fine = scene(transform=transform).upscaled(scale, Window(0, 0, 40, 70))
    box = GeoBox((40, 70), transform, "EPSG:32630").zoom_out(1 / scale)
    assert fine.transform is not None
    np.testing.assert_allclose(tuple(fine.transform), tuple(box.transform), rtol=1e-12, atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(*[st.floats(-1e4, 1e4)] * 4), min_size=1, max_size=6), scales)
def test_control_points_keep_their_place_on_the_image(
    points: list[tuple[float, float, float, float]], scale: int
) -> None:
    gcps = tuple(GroundControlPoint(row, col, x, y) for row, col, x, y in points)
    fine = scene(gcps=gcps).upscaled(scale, Window(3, 5, 30, 60))
    for before, after in zip(gcps, fine.gcps, strict=True):
        assert (after.x, after.y) == (before.x, before.y)
        tolerance = BILLIONTH + 1e-15 * max(abs(before.row), abs(before.col))
        assert after.row / scale + 3 == pytest.approx(before.row, abs=tolerance)
        assert after.col / scale + 5 == pytest.approx(before.col, abs=tolerance)


def camera() -> RPC:
    """A camera that looks obliquely, in the form of rational polynomials."""
    one, line, samp = [1.0, 0.01] + [0.0] * 18, [0.0] * 20, [0.0] * 20
    line[2], line[1], samp[1], samp[2], samp[7] = -1.0, 0.1, 1.0, 0.05, 0.001
    return RPC(
        height_off=100, height_scale=500, lat_off=-8.0, lat_scale=0.1, long_off=-35.0,
        long_scale=0.1, line_off=6, line_scale=7, samp_off=8, samp_scale=9,
        line_num_coeff=line, line_den_coeff=one, samp_num_coeff=samp, samp_den_coeff=one,
    )  # fmt: skip


def gcps() -> list[GroundControlPoint]:
    turned = UTM @ Affine.rotation(31)
    corners = ((0, 0), (0, 17), (12, 0), (12, 17), (5.5, 7.25))
    return [GroundControlPoint(row, col, *(turned @ (col, row))) for row, col in corners]


def by_gcps(dataset: rasterio.DatasetReader) -> GCPTransformer:
    return GCPTransformer(dataset.gcps[0])


def by_rpcs(dataset: rasterio.DatasetReader) -> RPCTransformer:
    return RPCTransformer(dataset.rpcs)


@pytest.mark.parametrize(
    ("options", "transformer"),
    [
        ({"gcps": gcps(), "transform": None}, by_gcps),
        ({"gcps": gcps(), "transform": None, "crs": CRS()}, by_gcps),
        ({"rpcs": camera(), "transform": None, "crs": None}, by_rpcs),
    ],
    ids=["gcps", "gcps without crs", "rpcs"],
)
def test_a_written_product_shows_the_same_ground(
    raster: Writer,
    bicubic: Model,
    options: dict[str, object],
    transformer: Callable[[rasterio.DatasetReader], GCPTransformer],
) -> None:
    path = raster(IMAGE, **options)
    target = path.with_name("fine.tif")
    ultrares.upscale_scene(path, target, scale=3, model=bicubic)
    assert ultrares.check(target, path).problems == []
    with rasterio.open(path) as coarse, rasterio.open(target) as fine:
        assert fine.transform.is_identity
        with transformer(coarse) as before, transformer(fine) as after:
            for row, col in ((0, 0), (0, 17), (12, 0), (12, 17), (4.5, 6.25)):
                x, y = before.xy(row, col, offset="ul")
                # From the ground to the image, because the other way is iterated to a tenth of a pixel.
                place = np.array(before.rowcol([x], [y], op=float))
                assert place.ravel() == pytest.approx((row, col), abs=0.1)
                finer = np.array(after.rowcol([x], [y], op=float))
                np.testing.assert_allclose(finer / 3, place, rtol=0, atol=BILLIONTH)


@pytest.mark.parametrize(
    ("crs", "transform"),
    [
        ("EPSG:32630", UTM),
        ("EPSG:32630", Affine(10, 0, 3e5, 0, 10, 9e6)),
        ("EPSG:32630", UTM @ Affine.rotation(31)),
        ("EPSG:32630", Affine(-10, 0, 3e5, 0, -10, 9e6)),
        ("EPSG:4326", Affine(0.01, 0, 10, 0, -0.01, 50)),
        ("EPSG:4326", Affine(0.05, 0, 179.8, 0, -0.05, -17)),
        (None, UTM),
    ],
    ids=["north-up", "south-up", "rotated", "mirrored", "geographic", "antimeridian", "no crs"],
)
@pytest.mark.parametrize("point", [False, True], ids=["area", "point"])
def test_a_written_product_has_the_same_footprint(
    raster: Writer, bicubic: Model, crs: str | None, transform: Affine, point: bool
) -> None:
    def finish(dataset: rasterio.io.DatasetWriter) -> None:
        if point:
            dataset.update_tags(AREA_OR_POINT="Point")

    path = raster(IMAGE, crs=crs, transform=transform, finish=finish)
    target = path.with_name("fine.tif")
    ultrares.upscale_scene(path, target, scale=5, model=bicubic)
    report = ultrares.check(target, path)
    assert report.problems == []
    with rasterio.open(path) as coarse, rasterio.open(target) as fine:
        assert fine.crs == coarse.crs
        distance = footprint_distance(transform, (12, 17), fine.transform, fine.shape)
        assert fine.tags().get("AREA_OR_POINT") == coarse.tags().get("AREA_OR_POINT")
    assert distance < BILLIONTH + 5 * rounding(transform, Shape(12, 17))
    assert cog_validate(target)[0]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(
    st.lists(
        st.sampled_from((0.0, 1.0, -3.0, math.nan, math.inf, 1e300, 1e-300)), min_size=6, max_size=6
    )
)
@example([0.0, 1.0, 1e300, 1e300, 1e300, 0.0])
def test_a_place_is_refused_or_can_be_inverted(numbers: list[float]) -> None:
    transform = Affine(*numbers)
    try:
        refuse_place("scene.tif", scene(transform=transform))
    except RasterError:
        return
    there = (~transform) @ (transform @ (3.0, 4.0))
    assert there == pytest.approx((3.0, 4.0), abs=100 * COARSEST_PLACE)
