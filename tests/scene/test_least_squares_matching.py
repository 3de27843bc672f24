from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, shift

from ultrares.scene.least_squares_matching import NOTHING, Evidence, evidence_of, shift_from

FACTOR, SIDE = 16, 256


def place(seed: int, bands: int = 3) -> np.ndarray:
    """Bands that share most of their structure, of all sizes, in [0, 1]."""
    rng = np.random.default_rng(seed)

    def layer(weight: float) -> np.ndarray:
        sizes = (1, 2, 4, 8, 16)
        return weight * sum(s * gaussian_filter(rng.normal(size=(SIDE, SIDE)), s) for s in sizes)

    shared = layer(1)
    stack = np.stack([shared + layer(0.4) for _ in range(bands)])
    return (stack - stack.min()) / np.ptp(stack)


def reduced(image: np.ndarray) -> np.ndarray:
    blocks = image.reshape(len(image), SIDE // FACTOR, FACTOR, SIDE // FACTOR, FACTOR)
    return blocks.mean(axis=(2, 4)).reshape(len(image), -1)


def told(scene: np.ndarray, reference: np.ndarray) -> Evidence:
    """Evidence in pixels of the reference."""
    down, right = np.gradient(reference, axis=(1, 2))
    slopes = np.stack([reduced(down), reduced(right)])
    return evidence_of(scene, reduced(reference), slopes)


def moved(image: np.ndarray, rows: float, cols: float) -> np.ndarray:
    return np.stack([shift(band, (rows, cols), order=3, mode="mirror") for band in image])


@pytest.mark.parametrize("offset", [(0.0, 0.0), (0.7, -0.4), (-1.2, 1.6)])
@pytest.mark.parametrize("bands", [1, 3, 6])
def test_parts_of_a_fine_pixel_are_found_in_coarse_ones(
    offset: tuple[float, float], bands: int
) -> None:
    truth = place(1, bands)
    scene = np.rint(255 * reduced(truth)) / 255
    found = shift_from([told(scene, moved(truth, *offset))], np.zeros(2), spread=10)
    np.testing.assert_allclose(found, offset, atol=0.12)


def test_another_exposure_of_each_band_and_what_has_changed_do_not_matter() -> None:
    truth = place(2)
    scene = reduced(truth) * np.array([0.8, 1.1, 0.9])[:, None] + np.array([[0.1], [-0.05], [0.0]])
    fields = scene.reshape(3, SIDE // FACTOR, -1)
    fields[:, 3:7, 9:13] += np.array([0.2, -0.1, 0.15])[:, None, None]
    found = shift_from([told(scene, moved(truth, 0.8, -0.6))], np.zeros(2), spread=10)
    np.testing.assert_allclose(found, (0.8, -0.6), atol=0.15)


def test_the_error_is_as_large_as_the_information_says() -> None:
    errors = []
    for seed in range(40):
        truth = place(seed)
        change = np.random.default_rng(100 + seed).normal(0, 0.02, (3, (SIDE // FACTOR) ** 2))
        evidence = told(reduced(truth) + change, truth)
        # As if each pixel spoke for itself, for here it does.
        spread = np.linalg.inv(4 * evidence.normal)
        shift_found = shift_from([evidence], np.zeros(2), spread=1e3)
        errors.append(shift_found @ np.linalg.inv(spread) @ shift_found)
    # Squares of two standard normal variables, 2 on average; robust weights lose a part of the information.
    assert 1.4 < np.mean(errors) < 3.5


def test_evidence_adds_up_and_without_any_nothing_is_believed() -> None:
    expected = np.array([0.3, -0.2])
    np.testing.assert_allclose(shift_from([], expected, 0.5), expected)
    np.testing.assert_allclose(shift_from([NOTHING, NOTHING], expected, 0.5), expected)
    # Two normal distributions of equal spread about one value each, and a third: their mean.
    ones = [Evidence(4 * np.eye(2), 4 * np.array(at)) for at in ([0.0, 1.0], [1.0, 0.0])]
    np.testing.assert_allclose(shift_from(ones, np.array([2.0, 2.0]), 0.5), (1, 1))


def test_flat_images_and_few_pixels_say_nothing() -> None:
    flat = np.full((3, 256), 0.5)
    found = shift_from([evidence_of(flat, flat, np.zeros((2, 3, 256)))], np.zeros(2), 0.5)
    np.testing.assert_array_equal(found, 0)
    few = np.random.default_rng(0).random((3, 8))
    assert evidence_of(few, few, np.stack([few, few])) is NOTHING


def test_one_direction_of_edges_says_nothing_of_the_other() -> None:
    rows = np.random.default_rng(3).random((3, SIDE))
    truth = np.stack([np.tile(gaussian_filter(row, 3)[:, None], SIDE) for row in rows])
    truth = (truth - truth.min()) / np.ptp(truth)
    found = shift_from([told(reduced(truth), moved(truth, 0.8, 0.8))], np.zeros(2), spread=0.5)
    assert abs(found[0] - 0.8) < 0.15
    assert abs(found[1]) < 0.01
