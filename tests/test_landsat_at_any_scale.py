"""Landsat pixels of 28.5 m onto finer grids: by a whole scale that is no power of two, and onto 10 m."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.windows import Window

import ultrares

SCENE = Path(__file__).parents[1] / "examples" / "data" / "olinda.tif"
ROWS, COLS = 7, 9


@pytest.fixture
def crop(tmp_path: Path) -> Path:
    """A small part of the sample scene."""
    path = tmp_path / "landsat.tif"
    with rasterio.open(SCENE) as raster:
        window = Window(20, 30, COLS, ROWS)
        placed = {
            "transform": raster.window_transform(window),
            "width": COLS,
            "height": ROWS,
        }
        with rasterio.open(path, "w", **(raster.profile | {"tiled": False} | placed)) as part:
            part.write(raster.read(window=window))
    return path


@pytest.mark.parametrize("scale", [10, 20])
def test_tenfold_keeps_footprint_and_means(crop: Path, scale: int) -> None:
    target = crop.with_name("fine.tif")
    report = ultrares.upscale_scene(crop, target, scale=scale)
    assert (report.width, report.height, report.moved) == (COLS * scale, ROWS * scale, 0)
    assert ultrares.check(target, crop).ok
    with rasterio.open(crop) as coarse, rasterio.open(target) as fine:
        assert np.allclose(coarse.bounds, fine.bounds, rtol=0, atol=1e-9 * coarse.res[0])
        blocks = fine.read().astype(np.int64).reshape(coarse.count, ROWS, scale, COLS, scale)
        assert (blocks.sum((2, 4)) == coarse.read().astype(np.int64) * scale**2).all()


def test_the_grid_of_another_raster(crop: Path) -> None:
    grid, target = crop.with_name("grid.tif"), crop.with_name("fine.tif")
    with rasterio.open(crop) as coarse:
        left, top = coarse.bounds.left, coarse.bounds.top
        # Whole tens of metres, beginning outside.
        corner = Affine(10, 0, np.floor(left / 10) * 10, 0, -10, np.ceil(top / 10) * 10)
        profile = coarse.profile | {"count": 1, "width": 40, "height": 30, "transform": corner}
    with rasterio.open(grid, "w", **profile) as raster:
        raster.write(np.zeros((1, 30, 40), profile["dtype"]))
    report = ultrares.upscale_scene(crop, target, like=grid)
    assert ultrares.check(target, crop).ok
    with rasterio.open(target) as fine:
        assert fine.res == (10.0, 10.0)
        assert (fine.transform.c % 10, fine.transform.f % 10) == (0, 0)
    # An edge is at most half an output pixel away.
    assert 0 < report.moved <= 0.5 * 10 / 28.5 + 1e-9
