from __future__ import annotations

import numpy as np
import pytest
from affine import Affine
from scipy.ndimage import map_coordinates

from tests.scene.conftest import UTM, Writer
from tests.scene.test_reference import coarse, texture
from ultrares.scene import local_shifts
from ultrares.scene.radiometry import Radiometry
from ultrares.scene.reference import ArrayReference
from ultrares.scene.reference_opening import open_reference
from ultrares.scene.source import ArraySource, RasterSource
from ultrares.types import Window

FACTOR = 8
FINE = texture(640, 768, seed=3)
SCENE = ArraySource(coarse(FINE, FACTOR))
WHOLE = Window(0, 0, *FINE.shape[1:])


def bent(image: np.ndarray, offset: tuple[float, float], slope: float) -> np.ndarray:
    """An image whose content lies further down and to the right by an offset and by shares of the place."""
    rows, cols = np.meshgrid(*map(np.arange, image.shape[1:]), indexing="ij")
    down = offset[0] + slope * (cols / image.shape[2] - 0.5)
    right = offset[1] + slope * (rows / image.shape[1] - 0.5)
    places = np.stack([rows - down, cols - right])
    return np.stack([map_coordinates(band, places, order=3, mode="mirror") for band in image])


def error(image: np.ndarray) -> float:
    """Of the inner part: what comes in at the edges is nobody's fault."""
    inner = (..., slice(16, -16), slice(16, -16))
    return float(np.sqrt(np.mean((image - FINE / 255)[inner] ** 2)))


@pytest.mark.parametrize(
    ("offset", "slope"), [((0.6, -0.8), 0.0), ((0.0, 0.0), 2.0), ((-0.5, 0.4), 1.5)]
)
def test_parts_of_a_pixel_are_undone_place_by_place(
    offset: tuple[float, float], slope: float
) -> None:
    reference = bent(FINE, offset, slope).astype(np.float32)
    with ArrayReference(reference, SCENE, Radiometry.of(SCENE)) as opened:
        np.testing.assert_allclose(opened.shift, np.divide(offset, FACTOR), atol=0.02)
        placed, valid = opened.read(WHOLE, FACTOR)
        left = error(opened._matched(opened._warped(WHOLE, FACTOR)[0]))
    assert valid.mean() > 0.97
    assert error(placed) < 0.5 * left


def test_a_window_is_the_crop_of_a_larger_one() -> None:
    reference = bent(FINE, (0.3, -0.4), 1.0).astype(np.float32)
    window = Window(200, 130, 150, 310)
    with ArrayReference(reference, SCENE, Radiometry.of(SCENE)) as opened:
        pixels, valid = opened.read(WHOLE, FACTOR)
    with ArrayReference(reference, SCENE, Radiometry.of(SCENE)) as opened:
        part, seen = opened.read(window, FACTOR)
    inside = (..., slice(200, 350), slice(130, 440))
    np.testing.assert_array_equal(part, pixels[inside])
    np.testing.assert_array_equal(seen, valid[inside])


def test_a_reference_in_its_place_is_left_there() -> None:
    with ArrayReference(FINE.astype(np.float32), SCENE, Radiometry.of(SCENE)) as opened:
        assert np.abs(opened.shift).max() * FACTOR < 0.03
        placed, _ = opened.read(WHOLE, FACTOR)
    assert error(placed) < 0.006


def test_another_place_is_read_as_it_lies() -> None:
    other = texture(640, 768, seed=8).astype(np.float32)
    with ArrayReference(other, SCENE, Radiometry.of(SCENE)) as opened:
        assert opened.shift == (0.0, 0.0)
        pixels, _ = opened.read(WHOLE, FACTOR)
        np.testing.assert_array_equal(pixels, opened._matched(opened._warped(WHOLE, FACTOR)[0]))


def test_details_that_hardly_agree_move_nothing() -> None:
    other = texture(640, 768, seed=8)
    little = (0.2 * bent(FINE, (0.8, -0.8), 0.0) + 0.8 * other).astype(np.float32)
    with ArrayReference(little, SCENE, Radiometry.of(SCENE)) as opened:
        assert opened.shows_the_scene
        assert 0.15 < opened.correlation < 0.3
        assert opened.shift == (0.0, 0.0)


def test_gaps_do_not_move_what_is_around_them() -> None:
    reference = bent(FINE, (0.6, -0.8), 0.0).astype(np.float32)
    reference[:, 100:300, 200:420] = np.nan
    with ArrayReference(reference, SCENE, Radiometry.of(SCENE)) as opened:
        np.testing.assert_allclose(opened.shift, (0.6 / FACTOR, -0.8 / FACTOR), atol=0.02)
        placed, valid = opened.read(WHOLE, FACTOR)
    assert not valid[100:300, 200:420].any()
    assert valid[:90].mean() > 0.95
    assert np.abs(placed - FINE / 255)[:, valid].mean() < 0.01


def test_at_the_edge_the_reference_goes_on(raster: Writer) -> None:
    """Where it covers more than the scene, what was moved in from beyond is the reference, no repeated pixel."""
    lr = raster(coarse(FINE[:, 64:-64, 64:-64], FACTOR), "lr.tif")
    moved = bent(FINE, (-3.0, 3.0), 0.0)
    around = UTM @ Affine.translation(-8, -8) @ Affine.scale(1 / FACTOR)
    path = raster(np.rint(moved).astype(np.uint8), "wide.tif", transform=around)
    with RasterSource(lr) as scene, open_reference(path, scene, Radiometry.of(scene)) as opened:
        assert np.abs(opened.shift).max() > 0.2
        placed, valid = opened.read(Window(0, 0, 512, 640), FACTOR)
    wrong = np.abs(placed - FINE[:, 64:-64, 64:-64] / 255)
    assert valid[:3].mean() > 0.97
    assert wrong[:, :3].mean() < 2 * wrong.mean()
    assert wrong[..., -3:].mean() < 2 * wrong.mean()


def test_beyond_its_own_edge_the_last_pixels_are_repeated() -> None:
    reference = bent(FINE, (1.2, -1.2), 0.0).astype(np.float32)
    with ArrayReference(reference, SCENE, Radiometry.of(SCENE)) as opened:
        _, valid = opened.read(WHOLE, FACTOR)
    assert valid.mean() > 0.97
    assert valid[:, :4].mean() > 0.9


def test_values_that_no_float_holds_say_nothing() -> None:
    image = coarse(FINE, FACTOR).astype(np.float64)
    scene = ArraySource(image)
    radiometry = Radiometry.of(scene)
    image[0, 33, 50] = -1.7976931348623157e308
    with ArrayReference(FINE.astype(np.float32), scene, radiometry) as opened:
        placed, valid = opened.read(WHOLE, FACTOR)
    assert np.isfinite(placed).all()
    assert valid.any()
    assert np.abs(opened.shift).max() < 0.01


def test_what_is_forgotten_is_found_again(monkeypatch: pytest.MonkeyPatch) -> None:
    reference = bent(FINE, (0.3, -0.4), 1.0).astype(np.float32)
    with ArrayReference(reference, SCENE, Radiometry.of(SCENE)) as opened:
        pixels, _ = opened.read(WHOLE, FACTOR)
    monkeypatch.setattr(local_shifts, "KEPT", 1)
    monkeypatch.setattr(local_shifts, "KEPT_NODES", 1)
    with ArrayReference(reference, SCENE, Radiometry.of(SCENE)) as opened:
        again, _ = opened.read(WHOLE, FACTOR)
    np.testing.assert_array_equal(again, pixels)
