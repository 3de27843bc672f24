"""Many small files, shown as one raster, are the array that was cut."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from rasterio.errors import NotGeoreferencedWarning

from ultrares.scene.tile_file import Piece, encode, mosaic, note_of
from ultrares.scene.windows import tiles
from ultrares.types import Window

RNG = np.random.default_rng(0)
DTYPES = ["uint8", "int8", "uint16", "int16", "int32", "uint64", "int64", "float32", "float64"]


@pytest.mark.filterwarnings(f"ignore::{NotGeoreferencedWarning.__module__}.NotGeoreferencedWarning")
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_pieces_are_the_whole(tmp_path: Path, dtype: str, masked: bool) -> None:
    kind = np.dtype(dtype)
    limits: tuple[float, float] = (-1e30, 1e30)
    if kind.kind != "f":
        limits = (np.iinfo(kind).min, np.iinfo(kind).max)
    array = RNG.integers(0, 2, (3, 150, 210)) * np.array(1, kind)
    array = np.where(array == 0, np.array(limits[0], kind), np.array(limits[1], kind))
    array[:, 40:60] = RNG.integers(0, 100, (3, 20, 210))
    valid = RNG.random((150, 210)) < 0.7
    options = {"width": 210, "height": 150, "count": 3, "dtype": dtype, "nodata": 1}
    with rasterio.open(tmp_path / "t.tif", "w", driver="GTiff", sparse_ok=True, **options) as told:
        if masked:
            told.write_mask(True)
    rasterio.shutil.copy(tmp_path / "t.tif", tmp_path / "t.vrt", driver="VRT")

    pieces: list[Piece] = []
    # Cut along a grid that begins outside, so that the first tiles are parts.
    for place in tiles(Window(17, 30, 150, 210), 64):
        window = place._replace(row=place.row - 17, col=place.col - 30)
        rows = slice(window.row, window.row + window.height)
        cols = slice(window.col, window.col + window.width)
        file = tmp_path / f"{window.row}" / f"{window.col}.tif"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(encode(array[:, rows, cols], valid[rows, cols] if masked else None))
        pieces.append((window, file))
    mosaic(tmp_path / "t.vrt", pieces, tmp_path / "whole.vrt")
    with rasterio.open(tmp_path / "whole.vrt") as whole:
        assert whole.nodata == 1
        np.testing.assert_array_equal(whole.read(), array)
        if masked:
            assert np.array_equal(whole.dataset_mask() > 0, valid)


def test_a_note_is_kept_with_the_pixels(tmp_path: Path) -> None:
    path, said = tmp_path / "tile.tif", '[[1, 2.5, "1/3"], "<&>"]'
    path.write_bytes(encode(np.ones((1, 20, 20), np.uint8), None, said))
    assert note_of(path) == said
