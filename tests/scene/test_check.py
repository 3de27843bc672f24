from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from affine import Affine
from rasterio.control import GroundControlPoint

from tests.scene.conftest import UTM, Writer
from tests.scene.test_grid import polynomial
from tests.scene.test_upscale import written
from ultrares.errors import RasterError
from ultrares.scene.check import CheckReport, check
from ultrares.scene.cog_sink import CogSink
from ultrares.scene.profile import SceneProfile
from ultrares.scene.source import RasterSource
from ultrares.scene.upscale import repeat
from ultrares.scene.windows import whole
from ultrares.types import Shape, Window

RNG = np.random.default_rng(0)


@pytest.fixture
def pair(raster: Writer) -> tuple[Path, Path]:
    """A scene with a hole, and a product of it at x3."""
    array = RNG.integers(1, 4000, (2, 12, 15)).astype(np.int16)
    array[0, 4:6, 7] = 0
    path = raster(array, nodata=0)
    written(path, path.with_name("fine.tif"), 3)
    return path.with_name("fine.tif"), path


def rewritten(fine: Path, change: Callable[[np.ndarray, dict[str, Any]], np.ndarray]) -> Path:
    """The product again as a COG, with its pixels or its profile changed."""
    with rasterio.open(fine) as dataset:
        array, profile, tags = dataset.read(), dict(dataset.profile), dataset.tags()
    array = change(array, profile)
    for option in ("tiled", "blockxsize", "blockysize", "compress", "interleave"):
        profile.pop(option, None)
    profile |= {"driver": "GTiff", "height": array.shape[1], "width": array.shape[2]}
    profile |= {"count": array.shape[0], "dtype": array.dtype}
    plain, changed = fine.with_name("plain.tif"), fine.with_name("changed.tif")
    with rasterio.open(plain, "w", **profile) as dataset:
        dataset.write(array)
        dataset.update_tags(**tags)
    rasterio.shutil.copy(plain, changed, driver="COG")
    return changed


def test_a_true_product_is_accepted(pair: tuple[Path, Path]) -> None:
    report = check(*pair)
    assert report.ok
    assert report.problems == []
    assert (report.scale, report.radiometry_max, report.radiometry_limit) == (3, 0, 0)
    assert report.footprint_pixels is not None
    assert report.footprint_pixels < 1e-9
    assert report.mask_equal
    assert report.cog_valid
    assert report.to_dict()["sensor"] == "box"


def test_rewriting_alone_changes_nothing(pair: tuple[Path, Path]) -> None:
    assert check(rewritten(pair[0], lambda array, _: array), pair[1]).problems == []


def one_number(array: np.ndarray, _: dict[str, Any]) -> np.ndarray:
    array[1, 20, 31] += 1
    return array


def moved(array: np.ndarray, profile: dict[str, Any]) -> np.ndarray:
    profile["transform"] = profile["transform"] @ Affine.translation(0.5, 0)
    return array


def filled(array: np.ndarray, _: dict[str, Any]) -> np.ndarray:
    array[array == 0] = 9
    return array


def emptied(array: np.ndarray, _: dict[str, Any]) -> np.ndarray:
    array[1, 3:6, 6:9] = 0
    return array


def short(array: np.ndarray, _: dict[str, Any]) -> np.ndarray:
    return array[:, :-1]


def one_band(array: np.ndarray, _: dict[str, Any]) -> np.ndarray:
    return array[:1]


def as_floats(array: np.ndarray, _: dict[str, Any]) -> np.ndarray:
    return array.astype(np.float32) - 0.5


def elsewhere(array: np.ndarray, profile: dict[str, Any]) -> np.ndarray:
    profile["transform"] = profile["transform"] @ Affine.translation(300, 0)
    return array


def other_zone(array: np.ndarray, profile: dict[str, Any]) -> np.ndarray:
    profile["crs"] = "EPSG:32625"
    return array


def no_nodata(array: np.ndarray, profile: dict[str, Any]) -> np.ndarray:
    profile["nodata"] = None
    return array


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (one_number, r"a block mean differs from its input pixel by 0\.111 DN"),
        (moved, r"the footprint differs by 0\.167 input pixels"),
        (filled, "pixels without data are not those of the input"),
        (emptied, "pixels without data are not those of the input"),
        (short, "no multiple of the scale 3"),
        (one_band, "the number of bands is 1, but 2 in the input"),
        (as_floats, "the data type is float32, but int16 in the input"),
        (elsewhere, "does not lie within the input"),
        (other_zone, "the coordinate reference system is EPSG:32625"),
        (no_nodata, r"the nodata is None, but 0\.0 in the input"),
    ],
)
def test_every_broken_promise_is_found(
    pair: tuple[Path, Path],
    change: Callable[[np.ndarray, dict[str, Any]], np.ndarray],
    sentence: str,
) -> None:
    report = check(rewritten(pair[0], change), pair[1])
    assert not report.ok
    assert re.search(sentence, "; ".join(report.problems)), report.problems


def placed(path: Path, change: Callable[[SceneProfile], SceneProfile]) -> CheckReport:
    """The verdict on a scene whose pixels were repeated at x4, placed as a change of it says."""
    with RasterSource(path) as source:
        window = whole(source.shape)
        profile = change(source.profile)
        array, valid = source.read(window)
    target = path.with_name("placed.tif")
    with CogSink(target, profile, overwrite=True) as sink:
        sink.write(whole(profile.shape), repeat(array, 4), repeat(valid, 4))
        sink.commit()
    return check(target, path)


def test_control_points_and_polynomials_out_of_place_are_found(raster: Writer) -> None:
    array = RNG.integers(1, 99, (1, 20, 30)).astype(np.uint8)
    points = [
        GroundControlPoint(row, col, x=-35 + col / 1e3, y=-8 - row / 1e3, z=0)
        for row, col in ((0, 0), (0, 30), (20, 0))
    ]
    control = raster(array, "control.tif", transform=None, crs="EPSG:4326", gcps=points)
    rational = raster(array, "rational.tif", transform=None, crs=None, rpcs=polynomial())
    for path, sentence in (
        (control, "the ground control points are off by 22.5 input pixels"),
        (rational, "the rational polynomials are off by 390 input pixels"),
    ):
        right = placed(path, lambda profile: profile.upscaled(4, whole(profile.shape)))
        assert right.problems == []
        wrong = placed(path, lambda profile: replace(profile, shape=Shape(80, 120)))
        assert not wrong.ok
        assert sentence in "; ".join(wrong.problems)


def test_an_untagged_part_is_found_by_its_place(raster: Writer) -> None:
    array = RNG.integers(1, 99, (1, 64, 64)).astype(np.uint8)
    part = Window(8, 16, 20, 24)
    path, target = raster(array), raster(array).with_name("part.tif")
    with RasterSource(path) as source:
        profile = source.profile.upscaled(4, part)
        pixels, valid = source.read(part)
    with CogSink(target, profile) as sink:
        sink.write(whole(profile.shape), repeat(pixels, 4), repeat(valid, 4))
        sink.commit()
    report = check(target, path)
    assert report.problems == []
    assert report.scale == 4


def test_what_is_no_cog_is_found(raster: Writer) -> None:
    large = RNG.integers(1, 99, (1, 600, 600)).astype(np.uint8)
    coarse = raster(large[:, ::2, ::2], "coarse.tif", transform=UTM)
    fine = raster(
        large[:, ::2, ::2].repeat(2, 1).repeat(2, 2), "fine2.tif", transform=UTM @ Affine.scale(0.5)
    )
    report = check(fine, coarse)
    assert report.cog_valid is False
    assert [problem.split(":")[0] for problem in report.problems] == [
        "not a valid cloud-optimised GeoTIFF"
    ] * len(report.problems)


def test_files_in_the_wrong_order_do_not_pass(pair: tuple[Path, Path]) -> None:
    report = check(pair[1], pair[0])
    assert not report.ok
    (problem,) = report.problems
    assert re.search(
        r"larger than those of its source .*fine\.tif: were the two exchanged", problem
    )


def test_a_missing_file_is_named(pair: tuple[Path, Path]) -> None:
    with pytest.raises(RasterError, match=r"nowhere\.tif does not exist"):
        check(pair[0], pair[1].with_name("nowhere.tif"))
    with pytest.raises(RasterError, match=r"nowhere\.tif does not exist"):
        check(pair[0].with_name("nowhere.tif"), pair[1])
