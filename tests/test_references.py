"""References on the way from a file or an array to a model that uses one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from torch import Tensor

import ultrares
from tests.scene.conftest import UTM, Writer, assert_block_means
from ultrares import Model
from ultrares.errors import InputError, ReferenceImageError
from ultrares.methods import reference_fusion
from ultrares.methods.reference_fusion import ReferenceFusion

RNG = np.random.default_rng(0)


@pytest.fixture
def finer(raster: Writer) -> Path:
    """Another image of the scene's place, four times finer."""
    array = RNG.integers(1, 255, (3, 96, 120)).astype(np.uint8)
    return raster(array, "finer.tif", transform=UTM @ UTM.scale(0.25))


def like_pair(raster: Writer, factor: int) -> tuple[Path, Path]:
    """A scene of three bands, and a finer image of its place with details of its own."""
    coarse = RNG.integers(40, 215, (3, 24, 30))
    fine = coarse.repeat(factor, 1).repeat(factor, 2)
    fine = (fine + RNG.integers(-20, 20, fine.shape)).astype(np.uint8)
    scene = raster(coarse.astype(np.uint8), "like.tif")
    return scene, raster(fine, "fine.tif", transform=UTM @ UTM.scale(1 / factor))


def pixels(path: Path) -> np.ndarray:
    with rasterio.open(path) as dataset:
        return np.asarray(dataset.read())


def test_only_models_that_use_a_reference_say_so(
    guided: Model, tiny: Model, bicubic: Model
) -> None:
    assert guided.uses_reference
    assert not tiny.uses_reference
    assert not bicubic.uses_reference


def test_a_reference_reaches_the_product_its_tags_and_the_report(
    guided: Model, scene: Path, finer: Path
) -> None:
    target, plain = scene.with_name("out.tif"), scene.with_name("plain.tif")
    report = ultrares.upscale_scene(scene, target, scale=2, model=guided, reference=finer)
    ultrares.upscale_scene(scene, plain, scale=2, model=guided)
    assert not np.array_equal(pixels(target), pixels(plain))
    assert ultrares.check(target, scene).problems == []
    assert report.reference == str(finer)
    assert report.reference_shift is not None
    with rasterio.open(target) as dataset:
        tags = dataset.tags()
    assert tags["ULTRARES_REFERENCE"] == "finer.tif"
    written = [float(number) for number in tags["ULTRARES_REFERENCE_SHIFT"].split(",")]
    assert written == pytest.approx(report.reference_shift, rel=1e-3)


def test_tiles_change_nothing_beside_a_reference(guided: Model, scene: Path, finer: Path) -> None:
    results = []
    for tile in (16, 16384):
        target = scene.with_name(f"{tile}.tif")
        ultrares.upscale_scene(scene, target, scale=4, model=guided, reference=finer, tile=tile)
        results.append(pixels(target))
    assert np.array_equal(results[0], results[1])


def test_neither_tiles_nor_crops_change_a_fused_reference(
    guided: Model, raster: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene, reference = like_pair(raster, 8)
    # So that there are many cells, and some that the scene's edge cuts.
    monkeypatch.setattr(reference_fusion, "CORE", 64)
    once, fused = ReferenceFusion.__call__, []

    def counted(self: ReferenceFusion, *given: Any) -> Tensor:
        fused.append(given[2])
        return once(self, *given)

    monkeypatch.setattr(ReferenceFusion, "__call__", counted)
    whole, tiled, part, plain = (
        scene.with_name(f"{name}.tif") for name in ("whole", "tiled", "part", "plain")
    )
    options: dict[str, Any] = {"scale": 8, "model": guided, "reference": reference}
    ultrares.upscale_scene(scene, whole, **options)
    assert fused == [8] * 3 * 4
    ultrares.upscale_scene(scene, tiled, tile=64, **options)
    assert np.array_equal(pixels(whole), pixels(tiled))
    west, north = UTM * (3, 11)
    east, south = UTM * (23, 20)
    ultrares.upscale_scene(scene, part, aoi=(west, south, east, north), **options)
    assert np.array_equal(pixels(whole)[:, 88:160, 24:184], pixels(part))
    assert ultrares.check(whole, scene).problems == []
    fused.clear()
    ultrares.upscale_scene(scene, plain, **options | {"model": guided.without_fusion()})
    assert not fused
    assert not np.array_equal(pixels(whole), pixels(plain))


@pytest.mark.parametrize("kind", ["numpy", "torch"])
def test_an_array_can_be_a_reference(guided: Model, kind: str) -> None:
    array = RNG.integers(0, 255, (3, 16, 12)).astype(np.uint8)
    other = RNG.integers(0, 255, (3, 64, 48)).astype(np.uint8)
    if kind == "torch":
        fine = guided.upscale(
            torch.from_numpy(array), scale=2, reference=torch.from_numpy(other)
        ).numpy()
    else:
        fine = guided.upscale(array, scale=2, reference=other)
    assert not np.array_equal(fine, guided.upscale(array, scale=2))
    assert_block_means(fine, array, 2)


def test_a_reference_of_another_place_is_left_out(guided: Model, raster: Writer) -> None:
    """Nothing can be learnt from it, and the product is what it is without one: pixels, tags and all."""
    coarse = RNG.integers(1, 255, (3, 36, 40)).astype(np.uint8)
    scene = raster(coarse, "coarse.tif", transform=UTM)
    other = raster(
        RNG.integers(1, 255, (3, 144, 160)).astype(np.uint8),
        "other.tif",
        transform=UTM @ UTM.scale(0.25),
    )
    target, plain = scene.with_name("out.tif"), scene.with_name("plain.tif")
    with pytest.warns(UserWarning, match="does not show the scene.*left out"):
        report = ultrares.upscale_scene(scene, target, scale=4, model=guided, reference=other)
    assert (report.reference, report.reference_shift) == (None, None)
    ultrares.upscale_scene(scene, plain, scale=4, model=guided)
    assert target.read_bytes() == plain.read_bytes()
    with pytest.warns(UserWarning, match="does not show the scene"):
        fine = guided.upscale(coarse, scale=4, reference=pixels(other))
    assert np.array_equal(fine, guided.upscale(coarse, scale=4))
    # A reference of the place itself is believed, whatever else it is.
    there = coarse.repeat(4, axis=1).repeat(4, axis=2)
    assert not np.array_equal(guided.upscale(coarse, scale=4, reference=there), fine)


def test_references_of_the_wrong_kind_are_refused(guided: Model, tiny: Model) -> None:
    array = np.ones((1, 8, 8), np.uint8)
    with pytest.raises(InputError, match=r"reference must be an array .*\(C, H, W\)"):
        guided.upscale(array, scale=2, reference=array[0])
    with pytest.raises(ReferenceImageError, match="'tiny' uses no reference image"):
        tiny.upscale_with_spread(array, scale=2, reference=array)
