from __future__ import annotations

import numpy as np
import pytest

from ultrares.scene.displaced import displaced

RNG = np.random.default_rng(7)


def constant(rows: float, cols: float, height: int, width: int) -> np.ndarray:
    return np.broadcast_to(np.array([rows, cols])[:, None, None], (2, height, width))


def test_without_displacement_nothing_changes() -> None:
    image = RNG.random((3, 9, 11)).astype(np.float32)
    valid = RNG.random((9, 11)) > 0.3
    pixels, seen = displaced(image, valid, (0, 0), np.zeros((2, 9, 11)))
    np.testing.assert_array_equal(pixels, image)
    np.testing.assert_array_equal(seen, valid)


@pytest.mark.parametrize("step", [(2, -1), (-3, 0)])
def test_whole_pixels_are_a_crop(step: tuple[int, int]) -> None:
    image = RNG.random((2, 16, 16)).astype(np.float32)
    pixels, _ = displaced(image, np.ones((16, 16), bool), (5, 4), constant(*step, 6, 7))
    top, left = 5 + step[0], 4 + step[1]
    np.testing.assert_array_equal(pixels, image[:, top : top + 6, left : left + 7])


def test_quadratics_are_read_exactly() -> None:
    def surface(rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
        return (
            0.3
            + 0.02 * rows
            - 0.05 * cols
            + 0.004 * rows**2
            - 0.003 * rows * cols
            + 0.002 * cols**2
        )

    rows, cols = np.meshgrid(np.arange(24.0), np.arange(20.0), indexing="ij")
    image = surface(rows, cols)[None].astype(np.float32)
    # As much as two pixels and a half, differently everywhere.
    displacement = RNG.uniform(-2.5, 2.5, (2, 14, 10))
    pixels, valid = displaced(image, np.ones(image.shape[1:], bool), (5, 5), displacement)
    truth = surface(rows[5:19, 5:15] + displacement[0], cols[5:19, 5:15] + displacement[1])
    np.testing.assert_allclose(pixels[0], truth, atol=2e-6)
    assert valid.all()


def test_a_window_is_the_crop_of_a_larger_one() -> None:
    image = RNG.random((3, 40, 40)).astype(np.float32)
    valid = RNG.random((40, 40)) > 0.02
    displacement = RNG.uniform(-1.5, 1.5, (2, 30, 30))
    pixels, seen = displaced(image, valid, (5, 5), displacement)
    part, there = displaced(
        image[:, 3:38, 7:], valid[3:38, 7:], (9, 4), displacement[:, 7:20, 6:29]
    )
    np.testing.assert_array_equal(part, pixels[:, 7:20, 6:29])
    np.testing.assert_array_equal(there, seen[7:20, 6:29])


def test_no_pixel_is_made_of_a_missing_one() -> None:
    image = np.ones((1, 20, 20), np.float32)
    valid = np.ones((20, 20), bool)
    image[0, 10, 10], valid[10, 10] = 1e6, False
    pixels, seen = displaced(image, valid, (0, 0), constant(0.4, -0.3, 20, 20))
    assert seen.sum() == 400 - 16
    np.testing.assert_allclose(pixels[0][seen], 1, rtol=1e-6)
