from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

import ultrares
from tests.scene.conftest import UTM, Writer
from ultrares import Model
from ultrares.scene.evidence import Seen, invented_share, radius_of, smooth_along
from ultrares.scene.radiometry import Radiometry
from ultrares.scene.source import ArraySource

RNG = np.random.default_rng(0)


def smooth(pixels: np.ndarray, scale: float) -> np.ndarray:
    """The smooth image of (L, h, w), without 2 pixels on each side."""
    for axis in (1, 2):
        inner = pixels.shape[axis] - 4
        edges = 2 + np.arange(round(inner * scale) + 1) / scale
        pixels = smooth_along(pixels, 0, edges, axis)
    return pixels


def block_means(fine: np.ndarray, scale: int) -> np.ndarray:
    bands, height, width = fine.shape
    return fine.reshape(bands, height // scale, scale, width // scale, scale).mean(axis=(2, 4))


@pytest.mark.parametrize("scale", [2, 3, 4, 49])
def test_the_smooth_image_has_the_scenes_pixels_as_means(scale: int) -> None:
    pixels = RNG.random((2, 9, 8)).astype(np.float32)
    np.testing.assert_allclose(block_means(smooth(pixels, scale), scale), pixels[:, 2:-2, 2:-2])


@pytest.mark.parametrize("scale", [2, 2.5, 7])
def test_the_smooth_image_of_a_parabola_is_the_parabola(scale: float) -> None:
    def integral(x: np.ndarray) -> np.ndarray:
        return x + 3 * x**2 - 0.1 * x**3

    edges = np.arange(15.0)
    pixels = np.diff(integral(edges))[None, None].repeat(7, axis=1)
    fine = smooth(pixels, scale)[0, 0]
    places = 2 + np.arange(len(fine) + 1) / scale
    np.testing.assert_allclose(fine, np.diff(integral(places)) * scale, rtol=1e-12)


def test_a_pixel_of_it_does_not_depend_on_the_window() -> None:
    pixels = RNG.random((1, 6, 40))
    edges = np.arange(7 * 5, 7 * 30 + 1) / 7
    whole = smooth_along(pixels, 0, edges, 2)
    part = smooth_along(pixels[..., 8:25], 8, edges[40:90], 2)
    assert np.array_equal(part, whole[..., 40:89])


def brute_force(seen: Seen, span: float, noise: float) -> np.ndarray:
    """The definition, pixel by pixel."""
    product = seen.product.astype(float) / span
    bands, height, width = product.shape
    found = np.full(product.shape, np.nan)
    for band in range(bands):
        for row in range(height):
            for col in range(width):
                square = (
                    band,
                    slice(max(0, row - seen.radius), row + seen.radius + 1),
                    slice(max(0, col - seen.radius), col + seen.radius + 1),
                )
                near = seen.valid[square]
                if not seen.valid[band, row, col]:
                    continue
                detail = max(0, (product - seen.smooth)[square][near].var() - noise / span**2)
                total = detail + seen.smooth[square][near].var()
                found[band, row, col] = detail / total if total > 1e-12 else 0
    return found


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("radius", [1, 2, 5])
def test_the_share_is_what_its_definition_says(dtype: str, radius: int) -> None:
    product = RNG.integers(0, 255, (2, 13, 11)).astype(dtype)
    product[:, :4, :5] = 70
    even = RNG.random((2, 13, 11))
    even[:, :4, :5] = 0.3
    valid = np.asarray(RNG.random((2, 13, 11)) < 0.8)
    radiometry = Radiometry.of(ArraySource(np.array([[[0, 255]]] * 2, np.uint8)))
    seen = Seen(product, even, valid, ((radius, radius), (radius, radius)), radius)
    expected = brute_force(seen, 255, 1 / 12 if dtype == "uint8" else 0)
    found = invented_share(seen, radiometry)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert np.nanmin(found) >= 0
    assert np.nanmax(found) <= 1


def test_squares_are_about_as_wide_as_a_scene_pixel() -> None:
    assert [radius_of(1 / scale) for scale in (1.5, 2, 3, 4, 10, 128)] == [1, 1, 1, 2, 5, 64]


def run(scene: Path, model: Model, name: str, **options: Any) -> np.ndarray:
    """The bands of a scene's evidence, (2 L, h, w); the product lies beside it."""
    target, evidence = (scene.with_name(f"{name}{end}.tif") for end in ("", ".evidence"))
    report = ultrares.upscale_scene(
        scene, target, model=model, evidence=evidence, **({"scale": 3} | options)
    )
    assert report.evidence == str(evidence)
    with rasterio.open(evidence) as dataset:
        return np.asarray(dataset.read())


def test_the_file_says_what_it_holds(bicubic: Model, scene: Path) -> None:
    found = run(scene, bicubic, "out")
    with (
        rasterio.open(scene.with_name("out.tif")) as product,
        rasterio.open(scene.with_name("out.evidence.tif")) as evidence,
    ):
        assert evidence.dtypes == ("float32",) * 6
        assert evidence.descriptions[2:4] == (
            "invented share of band 3",
            "radiometry residual of band 1",
        )
        assert (evidence.transform, evidence.shape) == (product.transform, product.shape)
        valid = product.read_masks() > 0
        assert evidence.tags()["ULTRARES_CONTENT"].startswith("evidence")
    assert np.array_equal(np.isfinite(found), np.concatenate([valid, valid]))
    assert (found[3:][valid] == 0).all()
    problems = ultrares.check(scene.with_name("out.evidence.tif"), scene).problems
    assert len(problems) == 1
    assert "it holds the evidence" in problems[0]


def test_the_product_is_the_same_with_and_without(tiny: Model, scene: Path) -> None:
    for scale in (3, 2.5):
        run(scene, tiny, "with", scale=scale, overwrite=True)
        ultrares.upscale_scene(
            scene, scene.with_name("out.tif"), scale=scale, model=tiny, overwrite=True
        )
        one, other = (rasterio.open(scene.with_name(f"{n}.tif")).read() for n in ("with", "out"))
        assert np.array_equal(one, other)


def test_interpolation_invents_little_and_a_draw_much(
    bicubic: Model, tiny: Model, raster: Writer
) -> None:
    rows, cols = np.mgrid[:20, :20]
    wave = 120 + 90 * np.sin(rows / 3) * np.cos(cols / 4)
    path = raster(wave[None].astype(np.float32))
    interpolated = run(path, bicubic, "even", scale=4)
    drawn = run(path, tiny, "drawn", scale=4, mode="perceptual")
    assert interpolated[0].mean() < 0.02
    assert drawn[0].mean() > 0.2
    assert np.abs(drawn[1]).max() < 1e-4


def test_a_flat_scene_has_no_share(bicubic: Model, raster: Writer) -> None:
    found = run(raster(np.full((1, 8, 8), 77, np.uint16)), bicubic, "out", scale=2)
    assert (found == 0).all()


def test_the_residual_is_the_difference_of_means(bicubic: Model, raster: Writer) -> None:
    array = RNG.integers(0, 255, (1, 12, 12)).astype(np.uint8)
    path = raster(array)
    found = run(path, bicubic, "out", scale=4, sensor="bicubic")
    with rasterio.open(path.with_name("out.tif")) as product:
        means = block_means(product.read().astype(float), 4)
    assert np.abs(found[1]).max() > 0.5
    expected = (means - array).repeat(4, axis=1).repeat(4, axis=2)
    np.testing.assert_allclose(found[1:], expected, atol=1e-4)
    # On other grids means are kept to half a digital number, and each output pixel tells its scene pixel's.
    path = raster(array // 4 + 90, "dull.tif")
    assert 0 < np.abs(run(path, bicubic, "any", scale=2.5)[1]).max() <= 0.5 + 1e-6


@pytest.mark.parametrize("scale", [3, 2.5])
def test_tiles_and_areas_change_nothing(
    bicubic: Model, raster: Writer, scale: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Squares as small that the product at the second scale has several.
    for module in ("square_cache", "upscale_grid"):
        monkeypatch.setattr(f"ultrares.scene.{module}.SIDE", 64)
    array = RNG.integers(1, 255, (1, 8, 40)).astype(np.uint8)
    array[:, 3:5, 33:36] = 0
    scene = raster(array, nodata=0)
    whole = run(scene, bicubic, "whole", scale=scale, tile=16384)
    tiled = run(scene, bicubic, "tiled", scale=scale, tile=20)
    assert np.array_equal(whole, tiled, equal_nan=True)
    left, top = UTM @ (4, 2)
    right, bottom = UTM @ (38, 6)
    part = run(scene, bicubic, "part", scale=scale, aoi=(left, bottom, right, top), tile=16)
    rows = slice(round(2 * scale), round(6 * scale))
    cols = slice(round(4 * scale), round(38 * scale))
    assert np.array_equal(part, whole[:, rows, cols], equal_nan=True)
