from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from ultrares.data.tiles import load_tiles
from ultrares.errors import RasterError
from ultrares.scene.radiometry import Radiometry
from ultrares.scene.source import RasterSource

RNG = np.random.default_rng(0)


def _write(path: Path, array: np.ndarray, **profile: Any) -> None:
    bands, height, width = array.shape
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with rasterio.open(
            path,
            "w",
            driver="GTiff",
            count=bands,
            height=height,
            width=width,
            dtype=array.dtype,
            **{"photometric": "minisblack", **profile},
        ) as raster:
            raster.write(array)


def _bytes(*shape: int) -> np.ndarray:
    return RNG.integers(1, 256, size=shape).astype(np.uint8)


def test_rasters_of_bytes_are_cut_as_they_are(tmp_path: Path) -> None:
    """On a grid from the upper left corner, in the order of their names."""
    first, second = _bytes(4, 40, 70), _bytes(4, 32, 32)
    _write(tmp_path / "b.tif", second)
    _write(tmp_path / "a.tif", first)
    tiles = load_tiles(tmp_path, side=32)
    assert np.array_equal(tiles, [first[:, :32, :32], first[:, :32, 32:64], second])
    assert len(load_tiles(tmp_path, "b*.tif", side=32)) == 1
    (tmp_path / "deep").mkdir()
    _write(tmp_path / "deep" / "c.tif", second)
    assert len(load_tiles(tmp_path, "**/*.tif", side=32)) == 4


@pytest.mark.parametrize("dtype", ["uint16", "int16", "float32"])
def test_other_types_are_seen_as_upscaling_sees_them(tmp_path: Path, dtype: str) -> None:
    image = (1000 + 300 * RNG.standard_normal((3, 64, 64))).astype(dtype)
    _write(tmp_path / "a.tif", image)
    (tile,) = load_tiles(tmp_path, side=64)
    with RasterSource(tmp_path / "a.tif") as source:
        radiometry = Radiometry.of(source)
    unit = (image - radiometry.low) / (radiometry.high - radiometry.low)
    assert tile.dtype == np.uint8
    assert np.abs(tile - 255 * unit.clip(0, 1)).max() <= 0.5 + 1e-3
    # The percentiles and their margin leave little at either end.
    assert ((tile == 0) | (tile == 255)).mean() < 0.01
    assert tile.std() > 30


def test_rasters_of_any_number_of_bands_go_together(tmp_path: Path) -> None:
    """A tile shows nothing but its own bands."""
    grey, six = _bytes(1, 16, 16), _bytes(6, 16, 16)
    _write(tmp_path / "a.tif", grey)
    assert np.array_equal(load_tiles(tmp_path, side=16), [grey.repeat(3, axis=0)])
    two = _bytes(2, 16, 16)
    _write(tmp_path / "b.tif", two)
    _write(tmp_path / "c.tif", six)
    tiles = load_tiles(tmp_path, side=16)
    assert tiles.shape == (3, 6, 16, 16)
    assert np.array_equal(tiles[0], grey.repeat(6, axis=0))
    assert np.array_equal(tiles[1], two[[0, 1, 0, 1, 0, 1]])
    assert np.array_equal(tiles[2], six)


def test_tiles_with_missing_pixels_are_left_out(tmp_path: Path) -> None:
    image = _bytes(3, 16, 48)
    image[1, 3, 20] = 0
    _write(tmp_path / "a.tif", image, nodata=0)
    assert np.array_equal(load_tiles(tmp_path, side=16), [image[..., :16], image[..., 32:]])
    floats = image.astype(np.float32)
    floats[2, 5, 5] = np.nan
    _write(tmp_path / "a.tif", floats)
    assert len(load_tiles(tmp_path, side=16)) == 2


def test_alpha_is_a_mask_unless_said_otherwise(tmp_path: Path) -> None:
    image = _bytes(4, 16, 32)
    image[3, :, :16], image[3, 4, 20] = 255, 0
    _write(tmp_path / "a.tif", image, photometric="rgb", alpha="yes")
    assert np.array_equal(load_tiles(tmp_path, side=16), [image[:3, :, :16]])
    tiles = load_tiles(tmp_path, side=16, alpha_is_light=True)
    assert np.array_equal(tiles, [image[..., :16], image[..., 16:]])


def test_rasters_that_give_nothing_are_counted(tmp_path: Path) -> None:
    _write(tmp_path / "a.tif", _bytes(3, 16, 16))
    _write(tmp_path / "b.tif", _bytes(3, 15, 90))
    with pytest.warns(UserWarning, match="1 of 2 rasters in .* are not trained on"):
        assert len(load_tiles(tmp_path, side=16)) == 1


def test_folders_that_cannot_be_trained_on_are_refused_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(RasterError, match="is no folder; pass the folder"):
        load_tiles(tmp_path / "none")
    with pytest.raises(RasterError, match="no raster matches"):
        load_tiles(tmp_path)
    _write(tmp_path / "a.tif", _bytes(3, 8, 9))
    with pytest.raises(RasterError, match="smaller than a tile of 16 x 16"):
        load_tiles(tmp_path, side=16)
    holes = _bytes(3, 16, 16)
    holes[0, 0, 0] = 0
    _write(tmp_path / "a.tif", holes, nodata=0)
    with pytest.raises(RasterError, match=r"every 16 x 16 tile .* has missing pixels"):
        load_tiles(tmp_path, side=16)
    _write(tmp_path / "a.tif", 0 * holes, nodata=0)
    with pytest.raises(RasterError, match="no valid pixel"):
        load_tiles(tmp_path, side=16)
    (tmp_path / "b.tif").write_text("no raster")
    with pytest.raises(RasterError, match="not a raster"):
        load_tiles(tmp_path, "b.tif")
