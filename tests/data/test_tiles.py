from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import rasterio

from ultrares.data.tiles import load_tiles
from ultrares.errors import RasterError


def _write(path: Path, array: np.ndarray) -> None:
    bands, height, width = array.shape
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with rasterio.open(
            path, "w", driver="GTiff", count=bands, height=height, width=width, dtype=array.dtype
        ) as raster:
            raster.write(array)


def test_tiles_are_stacked_in_the_order_of_their_names(tmp_path: Path) -> None:
    first, second = np.random.default_rng(0).integers(0, 9, size=(2, 3, 8, 9)).astype(np.uint8)
    _write(tmp_path / "b.tif", second)
    _write(tmp_path / "a.tif", first)
    assert np.array_equal(load_tiles(tmp_path), np.stack([first, second]))
    assert len(load_tiles(tmp_path, "b*.tif")) == 1


def test_unequal_tiles_and_empty_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(RasterError, match="no raster matches"):
        load_tiles(tmp_path)
    _write(tmp_path / "a.tif", np.zeros((3, 8, 8), np.uint8))
    _write(tmp_path / "b.tif", np.zeros((3, 8, 9), np.uint8))
    with pytest.raises(RasterError, match=r"b\.tif differs"):
        load_tiles(tmp_path)
