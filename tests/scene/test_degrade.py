from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from affine import Affine
from torch.nn import functional as F

from tests.scene.conftest import UTM, Writer
from ultrares.errors import RasterError
from ultrares.scene import degrade as module
from ultrares.scene.degrade import degrade
from ultrares.scene.source import RasterSource
from ultrares.scene.windows import whole
from ultrares.sensor.models import Bicubic, Box, GaussianMtf, SensorModel
from ultrares.types import Shape

RNG = np.random.default_rng(0)


def run(path: Path, scale: int, sensor: SensorModel) -> tuple[np.ndarray, np.ndarray]:
    target = path.with_name("coarse.tif")
    size = degrade(path, target, scale, sensor, overwrite=True)
    with RasterSource(target) as source:
        assert source.shape == size
        return source.read(whole(size))


def means(array: np.ndarray, scale: int) -> np.ndarray:
    bands, height, width = (array.shape[0], *(side // scale for side in array.shape[1:]))
    cut = array[:, : height * scale, : width * scale].astype(np.float64)
    return cut.reshape(bands, height, scale, width, scale).mean(axis=(2, 4))


@pytest.mark.parametrize("scale", [2, 3, 8, 128])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
def test_the_box_is_the_block_mean(raster: Writer, scale: int, dtype: str) -> None:
    side = 2 * scale + 1 if scale > 8 else 41
    array = RNG.integers(0, 250, (2, side, side + 3)).astype(dtype)
    coarse, valid = run(raster(array), scale, Box())
    expected = means(array, scale)
    assert coarse.dtype == array.dtype
    assert valid.all()
    tolerance = 1e-4 if dtype == "float32" else 0.5 + 1e-4
    np.testing.assert_allclose(coarse, expected, rtol=0, atol=tolerance)


def test_the_bicubic_sensor_is_torch_s_antialiased_cubic(raster: Writer) -> None:
    """Windows of 128 coarse pixels with their reach put together, as if computed at once."""
    array = RNG.random((1, 4 * 140, 4 * 131)).astype(np.float32)
    coarse, _ = run(raster(array), 4, Bicubic())
    expected = F.interpolate(
        torch.from_numpy(array).double()[None], size=(140, 131), mode="bicubic", antialias=True
    )[0].numpy()
    # At the border torch clamps and we mirror.
    inner = (slice(None), slice(2, -2), slice(2, -2))
    np.testing.assert_allclose(coarse[inner], expected.clip(0)[inner], atol=1e-5)


@pytest.mark.parametrize("sensor", [Box(), Bicubic(), GaussianMtf(0.3)], ids=lambda s: s.name)
def test_a_constant_stays_itself_in_any_sensor(raster: Writer, sensor: SensorModel) -> None:
    coarse, _ = run(raster(np.full((1, 30, 30), 1234, np.uint16)), 5, sensor)
    assert (coarse == 1234).all()


@pytest.mark.parametrize("sensor", [Box(), Bicubic()], ids=lambda s: s.name)
def test_a_coarse_pixel_is_valid_if_all_of_it_was(raster: Writer, sensor: SensorModel) -> None:
    array = RNG.integers(1, 200, (2, 16, 16)).astype(np.uint8)
    array[0, 5, 6] = 0
    array[1, :4, :4] = 0
    coarse, valid = run(raster(array, nodata=0), 4, sensor)
    expected = np.ones((2, 4, 4), bool)
    expected[0, 1, 1] = expected[1, 0, 0] = False
    assert np.array_equal(valid, expected)
    assert (coarse[~expected] == 0).all()


def test_what_is_computed_at_once_changes_nothing(
    raster: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    array = RNG.integers(1, 4000, (1, 96, 96)).astype(np.uint16)
    array[0, 27:53, 19:57] = 0
    path = raster(array, nodata=0)
    at_once, _ = run(path, 2, GaussianMtf(0.3))
    monkeypatch.setattr(module, "COARSE_SIDE", 8)
    in_parts, _ = run(path, 2, GaussianMtf(0.3))
    assert np.array_equal(in_parts, at_once)


@pytest.mark.parametrize(("nodata", "moved"), [(0, 1), (7, 8), (255, 254)])
def test_a_valid_mean_never_becomes_no_data(raster: Writer, nodata: int, moved: int) -> None:
    array = np.full((1, 4, 4), nodata, np.uint8)
    array[0, :2] = min(nodata + 1, 254)
    array[0, 2:] = max(nodata - 1, 1)
    if nodata == 0:
        path = raster(np.full((1, 4, 4), 0.2, np.float32), nodata=0)
        assert (run(path, 4, Box())[0] > 0).all()
        return
    if nodata == 255:
        array[:] = 254
    coarse, valid = run(raster(array, nodata=nodata), 4, Box())
    assert valid.all()
    assert coarse.item() == moved


def test_place_and_names_are_kept(raster: Writer) -> None:
    def name(dataset: rasterio.io.DatasetWriter) -> None:
        dataset.descriptions = ("green",)
        dataset.update_tags(MISSION="S2")

    path = raster(np.ones((1, 10, 13), np.uint8), finish=name)
    target = path.with_name("coarse.tif")
    assert degrade(path, target, 3, Box()) == Shape(3, 4)
    with rasterio.open(target) as coarse:
        assert coarse.transform.almost_equals(UTM @ Affine.scale(3))
        assert coarse.crs.to_epsg() == 31985
        assert coarse.descriptions == ("green",)
        assert coarse.tags()["MISSION"] == "S2"
        assert coarse.tags()["ULTRARES_DEGRADED_SENSOR"] == "box"


def test_alpha_is_as_opaque_as_its_least_opaque_pixel(raster: Writer) -> None:
    array = np.full((4, 4, 4), 90, np.uint8)
    array[3] = 255
    array[3, 0, 3] = 0
    coarse, valid = run(raster(array, photometric="rgb", alpha="yes"), 2, Box())
    assert coarse[3].tolist() == [[255, 0], [255, 255]]
    assert valid[0].tolist() == [[True, False], [True, True]]


def test_less_than_a_coarse_pixel_is_refused(raster: Writer) -> None:
    path = raster(np.ones((1, 3, 30), np.uint8))
    with pytest.raises(RasterError, match="smaller than one pixel at 1/4"):
        degrade(path, path.with_name("coarse.tif"), 4, Box())
    assert not path.with_name("coarse.tif").exists()
