from __future__ import annotations

import numpy as np
import pytest
from affine import Affine
from odc.geo.geobox import GeoBox
from rasterio.control import GroundControlPoint
from rasterio.rpc import RPC
from rasterio.transform import GCPTransformer, RPCTransformer

from tests.scene.conftest import UTM
from ultrares.scene.grid import (
    coarser_transform,
    finer_gcps,
    finer_rpcs,
    finer_transform,
    footprint_distance,
)
from ultrares.types import Window

ROTATED = UTM @ Affine.rotation(31)
SOUTH_UP = Affine(0.25, 0, -35, 0, 0.25, -9)
GRIDS = pytest.mark.parametrize(
    "grid", [UTM, ROTATED, SOUTH_UP], ids=["utm", "rotated", "south-up"]
)
SCALES = pytest.mark.parametrize("scale", [2, 3, 5, 8, 128])


@SCALES
def test_finer_grids_are_odc_geo_s(scale: int) -> None:
    box = GeoBox((77, 103), UTM, "EPSG:31985")
    finer = box.zoom_out(1 / scale)
    ours = finer_transform(UTM, scale, Window(0, 0, 77, 103))
    assert finer.shape == (77 * scale, 103 * scale)
    np.testing.assert_allclose(tuple(ours), tuple(finer.transform), rtol=1e-14)


@GRIDS
@SCALES
def test_a_window_s_corners_stay_where_they_are(grid: Affine, scale: int) -> None:
    window = Window(5, 9, 11, 7)
    finer = finer_transform(grid, scale, window)
    for down, across in ((0, 0), (0, 7), (11, 0), (11, 7)):
        before = grid @ (9 + across, 5 + down)
        assert finer @ (across * scale, down * scale) == pytest.approx(before, rel=1e-12)


@GRIDS
def test_coarser_undoes_finer(grid: Affine) -> None:
    finer = finer_transform(grid, 7, Window(0, 0, 5, 5))
    np.testing.assert_allclose(tuple(coarser_transform(finer, 7)), tuple(grid), rtol=1e-12)


@GRIDS
def test_the_distance_of_footprints_is_in_coarse_pixels(grid: Affine) -> None:
    finer = finer_transform(grid, 4, Window(0, 0, 10, 20))
    assert footprint_distance(grid, (10, 20), finer, (40, 80)) < 1e-9
    moved = finer @ Affine.translation(1, 0)
    assert footprint_distance(grid, (10, 20), moved, (40, 80)) == pytest.approx(0.25)
    assert footprint_distance(grid, (10, 20), finer, (44, 80)) == pytest.approx(1)


def test_control_points_keep_their_ground() -> None:
    corners = [(0, 0), (0, 40), (30, 0), (30, 40), (11.5, 7.25)]
    gcps = [
        GroundControlPoint(row, col, *(ROTATED @ (col, row)), z=12.0, id=str(i), info="corner")
        for i, (row, col) in enumerate(corners)
    ]
    finer = finer_gcps(gcps, 4, Window(2, 3, 20, 20))
    assert [(p.x, p.y, p.z, p.id, p.info) for p in finer] == [
        (p.x, p.y, p.z, p.id, p.info) for p in gcps
    ]
    with GCPTransformer(gcps) as before, GCPTransformer(finer) as after:
        for row, col in ((5.0, 6.0), (12.25, 30.5)):
            ground = before.xy(row, col, offset="ul")
            same = after.xy((row - 2) * 4, (col - 3) * 4, offset="ul")
            assert same == pytest.approx(ground, rel=1e-9)


def polynomial(line_scale: float = 500, line_off: float = 480) -> RPC:
    """An affine camera in the form of rational polynomials."""
    one = [1.0] + [0.0] * 19
    line, samp = [0.0] * 20, [0.0] * 20
    line[2], line[1], samp[1], samp[2] = -1.0, 0.1, 1.0, 0.05
    return RPC(
        height_off=100, height_scale=500, lat_off=-8.0, lat_scale=0.1, long_off=-35.0,
        long_scale=0.1, line_off=line_off, line_scale=line_scale, samp_off=510, samp_scale=520,
        line_num_coeff=line, line_den_coeff=one, samp_num_coeff=samp, samp_den_coeff=one,
        err_bias=0.5, err_rand=0.25,
    )  # fmt: skip


@pytest.mark.parametrize("scale", [2, 3, 8])
def test_rational_polynomials_keep_their_ground(scale: int) -> None:
    """GDAL adds half a pixel to what the polynomials say, so pixel corners must map to corners."""
    before, after = polynomial(), finer_rpcs(polynomial(), scale, Window(100, 40, 50, 60))
    assert (after.err_bias, after.err_rand) == (0.5, 0.25)
    with RPCTransformer(before) as old, RPCTransformer(after) as new:
        for row, col in ((110.0, 50.0), (149.0, 99.5)):
            x, y = old.xy(row, col, offset="ul")
            again = new.xy((row - 100) * scale, (col - 40) * scale, offset="ul")
            assert again == pytest.approx((x, y), abs=1e-9)
