"""Awkward rasters end in a product that `check` accepts, or in one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

import ultrares
from tests.shared_data import FOLDER, needs_shared_data
from ultrares.errors import UltraresError

REFUSED = {
    "all-nodata.tif": "no valid pixel",
    "cint16.tif": "complex",
    "corrupt.tif": "damaged",
    "inverted_lat.tif": "no valid pixel",
}

# Millions of pixels a file: these are left to benchmarks/odd.py.
LARGE = (
    "alpha",
    "cog_dateline",
    "cog_hirise_mars",
    "cogeo",
    "img-15bit",
    "img-16bit",
    "world",
    "3892",
)
SMALL = [path for path in sorted((FOLDER / "odd").glob("*")) if not path.name.startswith(LARGE)]


@needs_shared_data
@pytest.mark.parametrize("path", SMALL, ids=lambda path: path.name)
def test_every_raster_ends_well(path: Path, tmp_path: Path) -> None:
    target = tmp_path / "fine.tif"
    if path.name in REFUSED:
        with pytest.raises(UltraresError, match=REFUSED[path.name]):
            ultrares.upscale_scene(path, target, scale=2, model="bicubic")
        assert list(tmp_path.iterdir()) == []
        return
    ultrares.upscale_scene(path, target, scale=2, model="bicubic")
    assert ultrares.check(target, path).problems == []
    assert list(tmp_path.iterdir()) == [target]
