"""Sentinel-2 products end in the reflectance that their metadata mean, from whatever file they are opened."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import rasterio

import ultrares
from tests.scene.conftest import assert_block_means
from tests.scene.fake_safe import CORNER, FakeSafe, Level
from ultrares.errors import OptionError, RasterError
from ultrares.scene.choice import Choice
from ultrares.scene.source import RasterSource
from ultrares.scene.windows import whole


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Level], tuple[FakeSafe, Path]]:
    """A product of each level, written once, for tests that change nothing in it."""

    @cache
    def write(level: Level) -> tuple[FakeSafe, Path]:
        fake = FakeSafe(level)
        return fake, fake.write(tmp_path_factory.mktemp("product"))

    return write


Products = Callable[[Level], tuple[FakeSafe, Path]]
LEVELS = pytest.mark.parametrize("level", ["1C", "2A"])
TEN = ("B04", "B03", "B02", "B08")


@LEVELS
@pytest.mark.parametrize("form", ["folder", "metadata", "zip"])
def test_ten_metre_bands_are_opened_as_reflectance(
    product: Products, tmp_path: Path, level: Level, form: str
) -> None:
    fake, path = product(level)
    if form == "zip":
        path = fake.zip(path, tmp_path)
    with RasterSource(path / f"MTD_MSIL{level}.xml" if form == "metadata" else path) as source:
        profile = source.profile
        pixels, valid = source.read(whole(source.shape))
    expected = np.stack([fake.pixels[f"{name}_10"] for name in TEN])
    np.testing.assert_array_equal(pixels, expected)
    np.testing.assert_array_equal(valid, expected != 0)
    assert valid.sum() == 4 * (24 * 24 - 6)
    assert {(band.scale, band.offset, band.nodata) for band in profile.bands} == {(1e-4, -0.1, 0)}
    assert profile.transform is not None
    assert profile.transform @ (0, 0) == CORNER


@LEVELS
def test_before_baseline_4_nothing_is_added(tmp_path: Path, level: Level) -> None:
    with RasterSource(FakeSafe(level, offset=None).write(tmp_path)) as source:
        assert {(band.scale, band.offset) for band in source.profile.bands} == {(1e-4, 0.0)}


@LEVELS
def test_a_product_keeps_digital_numbers_and_says_their_reflectance(
    product: Products, tmp_path: Path, level: Level
) -> None:
    (fake, scene), target = product(level), tmp_path / "fine.tif"
    ultrares.upscale_scene(scene, target, scale=2, model="bicubic")
    coarse = np.stack([fake.pixels[f"{name}_10"] for name in TEN])
    with rasterio.open(target) as written:
        fine = written.read()
        assert (written.nodata, set(written.scales), set(written.offsets)) == (0, {1e-4}, {-0.1})
        assert [text.split(",")[0] for text in written.descriptions] == ["B4", "B3", "B2", "B8"]
    assert_block_means(fine, coarse, 2, coarse != 0)
    assert ((fine == 0) == (coarse == 0).repeat(2, 1).repeat(2, 2)).all()
    assert ultrares.check(target, scene).ok


def test_what_was_chosen_is_what_check_compares_with(product: Products, tmp_path: Path) -> None:
    scene, target = product("2A")[1], tmp_path / "fine.tif"
    options = {"subdataset": "20m", "bands": ["B8A", "B05"]}
    ultrares.upscale_scene(scene, target, scale=2, model="bicubic", **options)  # type: ignore[arg-type]
    assert ultrares.check(target, scene).ok
    with rasterio.open(target) as written:
        assert [text.split(",")[0] for text in written.descriptions] == ["B8A", "B5"]
        assert written.res == (10, 10)


def test_water_vapour_has_a_scale_of_its_own(product: Products) -> None:
    with RasterSource(product("2A")[1], Choice(bands=("WVP", "B2"))) as source:
        scales = [(band.scale, band.offset) for band in source.profile.bands]
    assert scales == [(1e-3, 0), (1e-4, -0.1)]


def test_classes_are_refused(product: Products) -> None:
    with pytest.raises(RasterError, match="classes in SCL"):
        RasterSource(product("2A")[1], Choice("20m", ("B5", "SCL")))


def test_true_colour_is_a_picture(product: Products) -> None:
    with RasterSource(product("2A")[1], Choice("TCI")) as source:
        assert source.dtype == np.uint8
        assert {(band.scale, band.offset) for band in source.profile.bands} == {(1, 0)}


@LEVELS
@pytest.mark.parametrize("name", ["B04", "B8A"])
def test_a_single_image_knows_its_product(product: Products, level: Level, name: str) -> None:
    (image,) = product(level)[1].rglob(f"*_{name}*.jp2")
    with RasterSource(image) as source:
        (band,) = source.profile.bands
        valid = source.read(whole(source.shape))[1]
    assert (band.scale, band.offset, band.nodata) == (1e-4, -0.1, 0)
    assert (~valid).sum() == 6


def test_an_image_on_its_own_is_taken_as_it_is(tmp_path: Path) -> None:
    (image,) = FakeSafe("1C").write(tmp_path / "product").rglob("*_B04.jp2")
    with RasterSource(image.rename(tmp_path / image.name)) as source:
        (band,) = source.profile.bands
        assert (band.scale, band.offset, band.nodata) == (1, 0, None)


def test_there_is_a_word_for_what_is_not_there(product: Products) -> None:
    scene = product("2A")[1]
    with pytest.raises(OptionError, match="no such; choose one of 10m, 20m, 60m, TCI"):
        RasterSource(scene, Choice("15m"))
    with pytest.raises(OptionError, match="no band 'B99'; it has 1 B4, 2 B3"):
        RasterSource(scene, Choice(bands=("B99",)))


def test_an_image_that_is_not_there_is_no_black_band(tmp_path: Path) -> None:
    scene = FakeSafe().write(tmp_path)
    (image,) = scene.rglob("*B03_10m.jp2")
    image.unlink()
    with pytest.raises(RasterError, match="lacks the images of B3"):
        RasterSource(scene)
    with RasterSource(scene, Choice(bands=("B02", "B04"))) as source:
        assert source.read(whole(source.shape))[1].any()
