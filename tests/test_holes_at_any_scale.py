"""Holes and the ends of the range at scales that are not whole, from the file to the check."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio

import ultrares
from tests.scene.conftest import UTM, Writer
from ultrares import Model

SAMPLE = Path(__file__).parents[1] / "examples" / "data" / "olinda.tif"


@pytest.mark.parametrize("scale", [1.5, 2.5, 3.7, 5.5])
@pytest.mark.parametrize(
    ("dtype", "nodata"),
    [("int16", -9999), ("int16", -32768), ("uint16", 0), ("float32", np.nan), ("float32", -9999)],
)
def test_what_holds_no_data_reaches_no_pixel_that_does(
    raster: Writer, bicubic: Model, dtype: str, nodata: float, scale: float
) -> None:
    rng = np.random.default_rng(2)
    pixels = rng.integers(1500, 2500, (2, 40, 40)).astype(dtype)
    # A hole whose edges no output pixel shares, at the most of these scales.
    rows, cols = np.mgrid[:40, :40]
    hole = (rows - 17.3) ** 2 + (cols - 21.1) ** 2 < 60
    pixels[:, hole] = nodata
    scene = raster(pixels, nodata=nodata)
    target = scene.with_name("fine.tif")
    ultrares.upscale_scene(scene, target, scale=scale, model=bicubic)
    assert ultrares.check(target, scene).problems == []
    with rasterio.open(target) as fine:
        found = fine.read(masked=True)
    assert found.mask.any()
    # Interpolation of noise overshoots its range of 1000, but by no more than as much again.
    assert 500 < found.min() <= found.max() < 3500


@pytest.mark.parametrize("scale", [2.85, 3.7])
def test_means_are_kept_at_the_ends_of_the_range(
    tmp_path: Path, bicubic: Model, scale: float
) -> None:
    """Bright roofs beside dark water, of which some bands know no more than white."""
    target = tmp_path / "fine.tif"
    ultrares.upscale_scene(SAMPLE, target, scale=scale, model=bicubic)
    assert ultrares.check(target, SAMPLE).problems == []


@pytest.mark.parametrize("scale", [2.5, 3.7])
def test_a_part_passes_the_check_and_says_how_far_its_edges_are(
    tmp_path: Path, bicubic: Model, scale: float
) -> None:
    target = tmp_path / "part.tif"
    bounds = (294_000.0, 9_112_000.0, 296_000.0, 9_114_000.0)
    report = ultrares.upscale_scene(SAMPLE, target, scale=scale, aoi=bounds, model=bicubic)
    assert ultrares.check(target, SAMPLE).problems == []
    assert 0 < report.moved <= 0.5 / scale + 1e-9
    with rasterio.open(target) as part:
        told, pixels, profile = part.tags(), part.read(), part.profile
    assert float(told["ULTRARES_EDGES_MOVED"]) == pytest.approx(report.moved, abs=1e-6)
    pixels[0, 40:44, 40:44] += 9
    spoilt = tmp_path / "spoilt.tif"
    with rasterio.open(spoilt, "w", **profile) as part:
        part.write(pixels)
        part.update_tags(**told)
    assert "differs from its input pixel" in " ".join(ultrares.check(spoilt, SAMPLE).problems)


@pytest.mark.parametrize("scale", [1.3, 1.5, 2.5])
@pytest.mark.parametrize("part", [(0, 29), (1, 29), (1, 30), (0, 1), (29, 30), (5, 20)])
def test_parts_that_end_near_the_scene_s_edge_pass_the_check(
    raster: Writer, bicubic: Model, part: tuple[int, int], scale: float
) -> None:
    pixels = np.random.default_rng(3).integers(29_000, 31_000, (1, 30, 30)).astype(np.uint16)
    scene = raster(pixels)
    first, last = part
    left, top = UTM * (first, first)
    right, bottom = UTM * (last, last)
    target = scene.with_name("part.tif")
    bounds = (left, bottom, right, top)
    ultrares.upscale_scene(scene, target, scale=scale, aoi=bounds, model=bicubic)
    assert ultrares.check(target, scene).problems == []
