"""Near infrared is often marked as alpha: whoever names it gets light, whoever does not is told."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.enums import ColorInterp

import ultrares
from tests.scene.conftest import Writer
from ultrares import Model
from ultrares.scene.alpha import doubt_about_alpha
from ultrares.scene.choice import Choice
from ultrares.scene.source import RasterSource
from ultrares.scene.windows import whole

RNG = np.random.default_rng(0)
KINDS = [ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha]
LIGHT = RNG.integers(1, 255, (4, 24, 24)).astype(np.uint8)


def mark_last_as_alpha(dataset: Any) -> None:
    dataset.colorinterp = KINDS


@pytest.fixture
def infrared(raster: Writer) -> Path:
    """Four bands of light, water in a corner, of which GDAL takes the last for alpha."""
    pixels = LIGHT.copy()
    pixels[3, :8, :8] = 0
    pixels[3, 20] = 255
    return raster(pixels, finish=mark_last_as_alpha)


def doubt(path: Path, *bands: str) -> str | None:
    with RasterSource(path, Choice(bands=bands or None)) as source:
        return doubt_about_alpha(source)


def test_light_that_is_marked_as_alpha_is_doubted_unless_it_is_named(infrared: Path) -> None:
    said = doubt(infrared)
    assert said is not None
    assert "band 4 is marked as alpha" in said
    assert f"{1 - 64 / 576 - 24 / 576:.0%} of its pixels" in said
    assert doubt(infrared, "1", "2", "3", "4") is None


@pytest.mark.parametrize("feathered", [0, 0.2])
def test_true_alpha_is_not_doubted(raster: Writer, feathered: float) -> None:
    pixels = LIGHT.copy()
    pixels[3] = np.where(RNG.random((24, 24)) < 0.3, 0, 255)
    pixels[3, RNG.random((24, 24)) < feathered] = 100
    assert doubt(raster(pixels, finish=mark_last_as_alpha)) is None


def test_a_named_alpha_band_is_light_and_masks_nothing(infrared: Path) -> None:
    with RasterSource(infrared) as source:
        assert source.profile.alpha == (False, False, False, True)
        assert not source.read(whole(source.shape))[1][:3, :8, :8].any()
    for bands in (("1", "2", "3", "4"), ("4", "1"), ("4",)):
        with RasterSource(infrared, Choice(bands=bands)) as source:
            pixels, valid = source.read(whole(source.shape))
            assert not any(source.profile.alpha)
            assert valid.all()
            assert pixels[bands.index("4")][:8, :8].max() == 0


def test_a_product_of_named_bands_is_made_of_light(
    infrared: Path, bicubic: Model, tmp_path: Path
) -> None:
    target = tmp_path / "fine.tif"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ultrares.upscale_scene(infrared, target, scale=2, model=bicubic, bands=["1", "2", "3", "4"])
    assert ultrares.check(target, infrared).ok
    with rasterio.open(target) as made:
        assert ColorInterp.alpha not in made.colorinterp
        assert (made.read_masks() == 255).all()


def test_whoever_does_not_name_it_is_told(infrared: Path, bicubic: Model, tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="band 4 is marked as alpha"):
        ultrares.upscale_scene(infrared, tmp_path / "fine.tif", scale=2, model=bicubic)
