from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from tests.scene.test_reference import coarse, texture
from ultrares.scene.radiometry import Radiometry
from ultrares.scene.reference import ArrayReference
from ultrares.scene.source import ArraySource
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


def test_gaps_do_not_move_what_is_around_them() -> None:
    reference = bent(FINE, (0.6, -0.8), 0.0).astype(np.float32)
    reference[:, 100:300, 200:420] = np.nan
    with ArrayReference(reference, SCENE, Radiometry.of(SCENE)) as opened:
        np.testing.assert_allclose(opened.shift, (0.6 / FACTOR, -0.8 / FACTOR), atol=0.02)
        placed, valid = opened.read(WHOLE, FACTOR)
    assert not valid[100:300, 200:420].any()
    assert valid[:90].mean() > 0.95
    assert np.abs(placed - FINE / 255)[:, valid].mean() < 0.01
