"""The standard deviation of draws: in memory, and as a file beside the product."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from rio_cogeo.cogeo import cog_validate

import ultrares
from tests.scene.conftest import UTM, Writer, assert_block_means, block_sums
from ultrares import Model
from ultrares.errors import ModelError, OptionError, OutputError
from ultrares.reports import UpscaleReport

RNG = np.random.default_rng(0)


def run(scene: Path, model: Model, name: str = "out", **options: Any) -> UpscaleReport:
    """A product and its uncertainty, ``name``.tif and ``name``.std.tif beside the scene."""
    defaults: dict[str, Any] = {"scale": 3, "mode": "perceptual", "draws": 3, "model": model}
    return ultrares.upscale_scene(
        scene,
        scene.with_name(f"{name}.tif"),
        uncertainty=scene.with_name(f"{name}.std.tif"),
        **(defaults | options),
    )


def pixels(path: Path) -> np.ndarray:
    with rasterio.open(path) as dataset:
        return np.asarray(dataset.read())


# --- arrays ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["numpy", "torch"])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_mean_and_spread_come_back_as_what_the_image_was(
    tiny: Model, kind: str, dtype: str
) -> None:
    array = RNG.integers(0, 255, (2, 8, 6)).astype(dtype)
    image: Any = torch.from_numpy(array) if kind == "torch" else array
    mean, spread = tiny.upscale_with_spread(image, scale=2, draws=3, seed=5)
    assert type(mean) is type(spread) is type(image)
    assert mean.dtype == image.dtype
    assert np.asarray(spread).dtype == np.float32
    assert mean.shape == spread.shape == (2, 16, 12)
    again = tiny.upscale(image, scale=2, mode="perceptual", draws=3, seed=5)
    np.testing.assert_array_equal(np.asarray(mean), np.asarray(again))
    assert_block_means(np.asarray(mean), array, 2)


def test_the_spread_shrinks_with_what_is_drawn_and_not_with_the_number_of_draws(
    tiny: Model,
) -> None:
    array = RNG.normal(0, 1, (1, 16, 16)).astype(np.float32)
    few, many = (
        tiny.upscale_with_spread(array, scale=2, draws=draws)[1].mean() for draws in (3, 12)
    )
    assert few == pytest.approx(many, rel=0.25)
    assert many > 0.01


def test_draws_are_those_of_a_smaller_number_and_further_ones(tiny: Model) -> None:
    """Mean and spread of two draws say what the draws are; the first is the one of a single draw."""
    array = RNG.normal(0, 1, (1, 8, 8)).astype(np.float32)
    first = tiny.upscale(array, scale=2, mode="perceptual", seed=3)
    mean, spread = tiny.upscale_with_spread(array, scale=2, draws=2, seed=3)
    np.testing.assert_allclose(np.abs(first - mean) * 2**0.5, spread, atol=1e-5)


def test_a_spread_is_missing_where_the_image_is(tiny: Model) -> None:
    array = RNG.random((1, 8, 8)).astype(np.float32)
    array[0, 2:4, 5] = np.nan
    _, spread = tiny.upscale_with_spread(array, scale=2, draws=2)
    hole = np.isnan(array).repeat(2, 1).repeat(2, 2)
    assert np.array_equal(np.isnan(spread), hole)


def test_models_and_numbers_that_cannot_draw_are_refused(tiny: Model, bicubic: Model) -> None:
    array = np.ones((1, 8, 8), np.uint8)
    with pytest.raises(ModelError, match="has no denoiser"):
        bicubic.upscale_with_spread(array, scale=2)
    with pytest.raises(OptionError, match="--draws 2 or more"):
        tiny.upscale_with_spread(array, scale=2, draws=1)
    with pytest.raises(OptionError, match=r"draws is 2\.5"):
        tiny.upscale_with_spread(array, scale=2, draws=2.5)  # type: ignore[arg-type]


# --- files ----------------------------------------------------------------------------------------


def test_the_uncertainty_lies_on_the_product_and_says_what_it_is(tiny: Model, scene: Path) -> None:
    report = run(scene, tiny, steps=1)
    target, uncertainty = scene.with_name("out.tif"), scene.with_name("out.std.tif")
    assert (report.uncertainty, report.draws) == (str(uncertainty), 3)
    assert ultrares.check(target, scene).problems == []
    assert cog_validate(uncertainty, quiet=True)[0]
    with rasterio.open(target) as product, rasterio.open(uncertainty) as spread:
        assert spread.dtypes == ("float32",) * 3
        assert spread.descriptions == ("std of band 1", "std of band 2", "std of band 3")
        assert np.isnan(spread.nodata)
        assert (spread.crs, spread.transform) == (product.crs, product.transform)
        assert (spread.shape, spread.overviews(1)) == (product.shape, product.overviews(1))
        ours, theirs = spread.tags(), product.tags()
        assert ours.pop("ULTRARES_CONTENT") == "standard deviation of 3 draws"
        assert theirs.pop("ULTRARES_CONTENT") == "mean of 3 draws"
        assert ours == theirs
        assert (ours["ULTRARES_STEPS"], ours["ULTRARES_DRAWS"]) == ("1", "3")
        valid = product.read_masks() > 0
    assert np.array_equal(np.isfinite(pixels(uncertainty)), valid)


def test_a_file_is_what_the_array_face_returns(tiny: Model, raster: Writer) -> None:
    array = RNG.integers(0, 255, (2, 12, 9)).astype(np.uint8)
    path = raster(array)
    run(path, tiny)
    mean, spread = tiny.upscale_with_spread(array, scale=3, draws=3)
    assert np.array_equal(pixels(path.with_name("out.tif")), mean)
    assert np.array_equal(pixels(path.with_name("out.std.tif")), spread)


def test_tiles_and_areas_change_no_uncertainty(tiny: Model, scene: Path) -> None:
    run(scene, tiny, "whole", tile=16384)
    whole = pixels(scene.with_name("whole.std.tif"))
    run(scene, tiny, "tiled", tile=20)
    assert np.array_equal(pixels(scene.with_name("tiled.std.tif")), whole, equal_nan=True)
    left, top = UTM @ (4, 6)
    right, bottom = UTM @ (19, 17)
    run(scene, tiny, "part", aoi=(left, bottom, right, top), tile=16)
    part = pixels(scene.with_name("part.std.tif"))
    assert np.array_equal(part, whole[:, 18:51, 12:57], equal_nan=True)


def test_check_is_not_confused_by_an_uncertainty(tiny: Model, scene: Path) -> None:
    run(scene, tiny)
    report = ultrares.check(scene.with_name("out.std.tif"), scene)
    assert not report.ok
    assert report.problems == [
        "it holds the standard deviation of 3 draws, no scene; check the result it was written with"
    ]
    # An upscaled uncertainty is a scene like any other, whatever its source says of itself.
    again = scene.with_name("again.tif")
    ultrares.upscale_scene(scene.with_name("out.std.tif"), again, scale=2, model="bicubic")
    assert ultrares.check(again, scene.with_name("out.std.tif")).problems == []


def test_a_run_that_fails_leaves_neither(tiny: Model, scene: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        del done, total
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(scene, tiny, progress=interrupt)
    assert [path.name for path in scene.parent.iterdir() if path.name[0] != "."] == [scene.name]


def test_uncertainties_that_would_replace_something_are_refused(tiny: Model, scene: Path) -> None:
    target, other = scene.with_name("out.tif"), scene.with_name("std.tif")
    other.write_text("precious")

    def refuse(uncertainty: Path, sentence: str, **options: Any) -> None:
        with pytest.raises(OutputError, match=sentence):
            ultrares.upscale_scene(
                scene,
                target,
                scale=2,
                model=tiny,
                mode="perceptual",
                draws=2,
                uncertainty=uncertainty,
                **options,
            )

    refuse(other, "exists; pass --overwrite")
    refuse(scene, "is the input itself", overwrite=True)
    refuse(scene.parent / "." / "out.tif", "choose another name for the uncertainty")
    refuse(other, "is the input itself", overwrite=True, reference=other)
    assert other.read_text() == "precious"
    assert not target.exists()


def test_exact_block_means_have_no_spread(tiny: Model) -> None:
    """One draw's distance from the mean is the spread of two, up to a factor; its blocks cancel.

    At x2, where nothing comes before the mean that several draws share: there a single draw is the first of them.
    """
    array = RNG.normal(0, 1, (1, 6, 6)).astype(np.float32)
    mean, spread = tiny.upscale_with_spread(array, scale=2, draws=2)
    first = tiny.upscale(array, scale=2, mode="perceptual")
    signed = np.copysign(spread, first - mean)
    assert np.abs(block_sums(signed, 2)).max() / 4 < 1e-3 * spread.max()
