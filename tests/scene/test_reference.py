from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.crs import CRS
from rasterio.enums import ColorInterp
from rasterio.warp import Resampling, calculate_default_transform, reproject
from scipy.ndimage import gaussian_filter
from scipy.ndimage import shift as move

import ultrares
from tests.scene.conftest import UTM, Writer
from ultrares.errors import ReferenceImageError
from ultrares.scene.radiometry import Radiometry
from ultrares.scene.reference import ArrayReference
from ultrares.scene.reference_opening import open_reference
from ultrares.scene.source import ArraySource, RasterSource
from ultrares.types import Window

RNG = np.random.default_rng(4)


def texture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Three correlated bands of structure at all sizes, 20 to 230."""
    rng = np.random.default_rng(seed)
    bands = []
    shared = sum(s * gaussian_filter(rng.normal(size=(height, width)), s) for s in (1, 2, 4, 8, 16))
    for _ in range(3):
        own = sum(s * gaussian_filter(rng.normal(size=(height, width)), s) for s in (1, 3, 9))
        bands.append(shared + 0.3 * own)
    stack = np.stack(bands)
    return 20 + 210 * (stack - stack.min()) / np.ptp(stack)


def coarse(fine: np.ndarray, factor: int) -> np.ndarray:
    bands, height, width = fine.shape
    blocks = fine.reshape(bands, height // factor, factor, width // factor, factor)
    return np.rint(blocks.mean(axis=(2, 4))).astype(np.uint8)


FINE = texture(320, 384)


@pytest.fixture
def scene() -> ArraySource:
    return ArraySource(coarse(FINE, 8))


def test_the_same_scene_is_found_on_every_grid(scene: ArraySource) -> None:
    with ArrayReference(FINE.astype(np.uint8), scene, Radiometry.of(scene)) as reference:
        assert reference.factor == pytest.approx(8)
        assert np.abs(reference.shift).max() == 0
        assert reference.correlation > 0.99
        for factor in (1, 2, 4, 8):
            window = Window(3, 5, 17, 21)
            pixels, valid = reference.read(window, factor)
            truth = coarse(FINE, 8 // factor)[:, 3:20, 5:26] / 255
            assert valid.all()
            assert np.abs(pixels - truth).max() < 0.03


def test_beyond_its_own_grid_it_is_interpolated(scene: ArraySource) -> None:
    half = coarse(FINE, 4)
    with ArrayReference(half, scene, Radiometry.of(scene)) as reference:
        assert reference.factor == pytest.approx(2)
        pixels, _ = reference.read(Window(64, 64, 64, 64), 8)
        assert np.abs(pixels - FINE[:, 64:128, 64:128] / 255).mean() < 0.03


@pytest.mark.parametrize("factor", [1, 2, 8, 16])
def test_a_window_is_the_crop_of_a_larger_one(scene: ArraySource, factor: int) -> None:
    spoilt = FINE.copy()
    spoilt[:, 100:130, 200:240] = 255
    with ArrayReference(spoilt.astype(np.uint8), scene, Radiometry.of(scene)) as reference:
        whole = Window(0, 0, 40 * factor, 48 * factor)
        pixels, valid = reference.read(whole, factor)
        assert not valid.all()
        for row, col, height, width in ((0, 0, 7, 9), (12, 24, 9, 13), (31, 3, 9, 44)):
            window = Window(factor * row + 1, factor * col + 1, 5 * height // 7, width)
            part, seen = reference.read(window, factor)
            rows = slice(window.row, window.row + window.height)
            cols = slice(window.col, window.col + window.width)
            np.testing.assert_array_equal(part, pixels[:, rows, cols])
            np.testing.assert_array_equal(seen, valid[rows, cols])


@pytest.mark.parametrize("offset", [(1.5, -0.75), (-2.6, 0.4)])
def test_a_reference_beside_the_scene_is_moved_back(
    scene: ArraySource, offset: tuple[float, float]
) -> None:
    moved = np.stack([move(band, np.multiply(offset, 8), order=1, mode="reflect") for band in FINE])
    with ArrayReference(moved.astype(np.uint8), scene, Radiometry.of(scene)) as reference:
        np.testing.assert_allclose(reference.shift, offset, atol=0.15)
        pixels, _ = reference.read(Window(80, 80, 160, 160), 8)
        assert np.abs(pixels - FINE[:, 80:240, 80:240] / 255).mean() < 0.02


@pytest.mark.parametrize("gap", ["corner", "edge"])
def test_a_reference_with_a_gap_is_judged_by_the_rest(gap: str) -> None:
    wide = ArraySource(coarse(FINE, 4))
    here = (slice(None), slice(0, 12), slice(0, 30)) if gap == "corner" else (..., slice(-30, None))
    moved = np.stack([move(band, (6, -3), order=1, mode="reflect") for band in FINE])
    other = texture(320, 384, seed=9)
    moved[here] = other[here] = np.nan
    with ArrayReference(moved.astype(np.float32), wide, Radiometry.of(wide)) as reference:
        np.testing.assert_allclose(reference.shift, (1.5, -0.75), atol=0.15)
        assert reference.was_judged
        assert reference.shows_the_scene
    with ArrayReference(other.astype(np.float32), wide, Radiometry.of(wide)) as reference:
        assert reference.was_judged
        assert not reference.shows_the_scene


def test_a_reference_that_nobody_can_judge_says_so() -> None:
    sieve = FINE.astype(np.float32)
    # Two in twelve rows of the scene, so that no square of a size that tells anything is whole.
    sieve[:, np.arange(320) // 4 % 12 < 2] = np.nan
    image = coarse(FINE, 4)
    wide = ArraySource(image)
    with ArrayReference(sieve, wide, Radiometry.of(wide)) as reference:
        assert not reference.was_judged
        assert reference.shift == (0.0, 0.0), "used as it lies"
    with pytest.warns(UserWarning, match="too few connected pixels.*used as it lies"):
        ultrares.load().upscale(image[:, :48, :48], scale=2, reference=sieve[:, :192, :192])


def test_a_reference_too_far_beside_is_refused(scene: ArraySource) -> None:
    moved = np.roll(FINE, (0, 45), axis=(1, 2)).astype(np.uint8)
    with pytest.raises(ReferenceImageError, match=r"\+5\.6 columns.*co-register"):
        ArrayReference(moved, scene, Radiometry.of(scene))


def test_another_place_is_neither_moved_nor_trusted(scene: ArraySource) -> None:
    other = texture(320, 384, seed=9).astype(np.uint8)
    with ArrayReference(other, scene, Radiometry.of(scene)) as reference:
        assert reference.shift == (0.0, 0.0)
        assert abs(reference.correlation) < 0.2
        pixels, _ = reference.read(Window(0, 0, 40, 48), 1)
        # Least squares finds next to nothing in it that explains the scene.
        assert pixels.std() < 0.6 * (coarse(FINE, 8) / 255).std()


@pytest.mark.parametrize("side", [2, 4, 8])
def test_small_scenes_are_not_moved_by_chance(side: int) -> None:
    fine = FINE[:, : 16 * side, : 16 * side]
    small = ArraySource(coarse(fine, 16))
    with ArrayReference(fine.astype(np.uint8), small, Radiometry.of(small)) as reference:
        assert np.abs(reference.shift).max() * 16 < 0.05, "of its own pixels"
        pixels, valid = reference.read(Window(0, 0, side, side), 1)
        assert valid.all()
        assert np.abs(pixels - small.read(Window(0, 0, side, side))[0] / 255).max() < 0.05


def test_any_number_of_bands_on_either_side(scene: ArraySource) -> None:
    grey = FINE.mean(axis=0, keepdims=True)
    with ArrayReference(grey, scene, Radiometry.of(scene)) as reference:
        assert reference.weights.shape == (3, 1)
        assert reference.read(Window(0, 0, 8, 8), 8)[0].shape == (3, 8, 8)
    single = ArraySource(coarse(FINE, 8)[1:2])
    # Another exposure, another unit, bands in another order: all linear.
    odd = np.stack([9000 - 3 * FINE[2], 5 * FINE[1] + 40, 7 * FINE[0]]).astype(np.uint16)
    with ArrayReference(odd, single, Radiometry.of(single)) as reference:
        pixels, _ = reference.read(Window(0, 0, 320, 384), 8)
        assert np.abs(pixels[0] - FINE[1] / 255).mean() < 0.03


def test_a_change_is_not_believed_and_nothing_else_is_lost(scene: ArraySource) -> None:
    cloudy = FINE.copy()
    cloudy[:, 80:112, 160:200] = 255
    with ArrayReference(cloudy.astype(np.uint8), scene, Radiometry.of(scene)) as reference:
        _, valid = reference.read(Window(0, 0, 320, 384), 8)
    assert not valid[72:120, 152:208].any(), "the cloud, grown by a scene pixel"
    rest = valid.copy()
    rest[64:128, 144:216] = True
    assert rest.mean() > 0.97


def test_what_is_missing_in_the_reference_is_not_valid(scene: ArraySource) -> None:
    holed = FINE.copy()
    holed[:, 40:64, 40:90] = np.nan
    with ArrayReference(holed, scene, Radiometry.of(scene)) as reference:
        pixels, valid = reference.read(Window(0, 0, 320, 384), 8)
    assert not valid[40:64, 40:90].any()
    assert valid[100:, 100:].mean() > 0.97
    assert np.isfinite(pixels).all()


def written(raster: Writer, array: np.ndarray, name: str, **options: object) -> Path:
    return raster(array.astype(np.uint8), name, **options)


def in_degrees(path: Path, image: np.ndarray, factor: int) -> Path:
    """An image that covers the scene, written in another coordinate system, with nodata around it."""
    height, width = image.shape[1:]
    fine_grid = UTM @ Affine.scale(1 / factor)
    crs, target = CRS.from_epsg(31985), CRS.from_epsg(4326)
    bounds = rasterio.transform.array_bounds(height, width, fine_grid)
    grid, across, down = calculate_default_transform(crs, target, width, height, *bounds)
    with rasterio.open(
        path, "w", driver="GTiff", count=3, width=across, height=down, dtype="uint8", crs=target,
        transform=grid, nodata=0,
    ) as out:  # fmt: skip
        for band in range(3):
            plane = np.zeros((down, across), np.uint8)
            reproject(
                image[band].astype(np.uint8), plane, src_transform=fine_grid, src_crs=crs,
                dst_transform=grid, dst_crs=target, resampling=Resampling.cubic,
            )  # fmt: skip
            out.write(plane, band + 1)
    return path


def test_another_coordinate_system_leads_to_the_same_pixels(raster: Writer, tmp_path: Path) -> None:
    lr = written(raster, coarse(FINE, 8), "lr.tif")
    path = in_degrees(tmp_path / "degrees.tif", FINE, 8)
    with RasterSource(lr) as scene, open_reference(path, scene, Radiometry.of(scene)) as reference:
        assert 6.5 < reference.factor < 9.5
        assert np.abs(reference.shift).max() < 0.15
        pixels, valid = reference.read(Window(40, 40, 240, 300), 8)
    assert valid.mean() > 0.9
    assert np.abs(pixels - FINE[:, 40:280, 40:340] / 255)[:, valid].mean() < 0.02


def test_windows_in_another_coordinate_system_are_crops_however_large(
    raster: Writer, tmp_path: Path
) -> None:
    """GDAL warps large windows at once, by a transformation that it approximates from their corner."""
    large = texture(400, 800, seed=2)
    lr = written(raster, coarse(large, 8), "lr.tif")
    path = in_degrees(tmp_path / "degrees.tif", large, 8)
    with RasterSource(lr) as scene, open_reference(path, scene, Radiometry.of(scene)) as reference:
        pixels, valid = reference.read(Window(0, 0, 400, 800), 8)
        for window in (Window(70, 90, 60, 60), Window(70, 90, 140, 520), Window(3, 200, 300, 600)):
            part, seen = reference.read(window, 8)
            inside = (
                ...,
                slice(window.row, window.row + window.height),
                slice(window.col, window.col + window.width),
            )
            np.testing.assert_array_equal(part, pixels[inside])
            np.testing.assert_array_equal(seen, valid[inside])


def test_references_that_cannot_be_used_are_refused_in_a_sentence(raster: Writer) -> None:
    scene_path = written(raster, coarse(FINE, 8), "lr.tif")
    fine = {"transform": UTM @ Affine.scale(1 / 8)}
    cases = {
        "not finer than the scene": written(raster, coarse(FINE, 8), "same.tif"),
        "no valid pixel": written(raster, np.zeros_like(FINE), "empty.tif", nodata=0, **fine),
        "palette": raster(
            FINE[:1].astype(np.uint8),
            "palette.tif",
            finish=lambda out: out.write_colormap(1, {0: (1, 2, 3)}),
            **fine,
        ),
        "complex": raster(FINE.astype(np.complex64), "complex.tif", **fine),
    }
    with RasterSource(scene_path) as scene:
        for sentence, path in cases.items():
            with pytest.raises(ReferenceImageError, match=sentence):
                open_reference(path, scene, Radiometry.of(scene))
    source = ArraySource(coarse(FINE, 8))
    with pytest.raises(ReferenceImageError, match="same ground"):
        ArrayReference(FINE[:, :, :200], source, Radiometry.of(source))


def test_alpha_masks_a_reference_and_is_no_light(raster: Writer) -> None:
    alpha = np.full((1, 320, 384), 255.0)
    alpha[:, :160] = 0

    def name_bands(out: object) -> None:
        out.colorinterp = [  # type: ignore[attr-defined]
            ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha,
        ]  # fmt: skip

    lr = written(raster, coarse(FINE, 8), "lr.tif")
    path = raster(
        np.concatenate([FINE, alpha]).astype(np.uint8),
        "rgba.tif",
        finish=name_bands,
        transform=UTM @ Affine.scale(1 / 8),
    )
    with RasterSource(lr) as scene, open_reference(path, scene, Radiometry.of(scene)) as reference:
        assert reference.weights.shape == (3, 3)
        _, valid = reference.read(Window(0, 0, 320, 384), 8)
    assert not valid[:159].any()
    assert valid[170:].mean() > 0.97
