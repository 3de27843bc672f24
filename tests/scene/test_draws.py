from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.scene.conftest import Drawn
from ultrares.scene.draws import area_average, draws_of_levels, mean_of, spread_of
from ultrares.scene.pyramid import Pyramid
from ultrares.scene.radiometry import Radiometry
from ultrares.scene.source import ArraySource
from ultrares.scene.upscale import repeat
from ultrares.types import Window

RNG = np.random.default_rng(0)


def block_means(image: np.ndarray, scale: int) -> np.ndarray:
    """Block means of (..., h, w), repeated to its shape."""
    rows, cols = (side // scale for side in image.shape[-2:])
    means: np.ndarray = image.reshape(*image.shape[:-2], rows, scale, cols, scale).mean((-3, -1))
    return means.repeat(scale, -2).repeat(scale, -1)


@pytest.mark.parametrize("count", [2, 3, 8])
@pytest.mark.parametrize("scale", [2, 3, 5])
def test_the_spread_of_projected_draws_is_that_of_what_their_block_means_leave(
    count: int, scale: int
) -> None:
    draws = RNG.random((count, 2, 3 * scale, 4 * scale)).astype(np.float32)
    mean = mean_of(draws)
    np.testing.assert_allclose(mean, draws.mean(axis=0, dtype=np.float64), rtol=1e-12)
    plain = spread_of(draws, mean, scale, exact=False)
    np.testing.assert_allclose(plain, draws.std(axis=0, ddof=1, dtype=np.float64), rtol=1e-5)
    exact = spread_of(draws, mean, scale, exact=True)
    wide = draws.astype(np.float64)
    rest = wide - block_means(wide, scale)
    np.testing.assert_allclose(exact, rest.std(axis=0, ddof=1), rtol=1e-4, atol=1e-6)


def test_draws_that_differ_by_a_number_per_block_differ_in_nothing_that_is_kept() -> None:
    one = RNG.random((1, 12, 12)).astype(np.float32)
    offsets = repeat(RNG.normal(0, 0.2, (5, 4, 4)).astype(np.float32), 3)
    draws = one[None] + offsets[:, None]
    mean = mean_of(draws)
    assert spread_of(draws, mean, 3, exact=False).min() > 0.01
    assert spread_of(draws, mean, 3, exact=True).max() < 1e-6


@pytest.mark.parametrize("exact", [True, False])
def test_equal_draws_have_no_spread_at_all(exact: bool) -> None:
    draws = np.repeat(RNG.random((1, 1, 6, 6)).astype(np.float32), 7, axis=0)
    assert np.array_equal(mean_of(draws), draws[0])
    assert spread_of(draws, mean_of(draws), 3, exact=exact).max() == 0


def test_a_pixel_has_the_same_mean_and_spread_in_any_window() -> None:
    draws = RNG.random((9, 1, 30, 42)).astype(np.float32)
    mean = mean_of(draws)
    spread = spread_of(draws, mean, 3, exact=True)
    part = draws[..., 27:30, 39:42]
    assert np.array_equal(mean_of(part), mean[:, 27:30, 39:42])
    assert np.array_equal(spread_of(part, mean_of(part), 3, exact=True), spread[:, 27:30, 39:42])


def test_draws_are_reduced_to_the_output_scale_one_by_one() -> None:
    source = ArraySource(RNG.integers(0, 256, (2, 10, 8)).astype(np.uint8))
    pyramid = Pyramid(source, Radiometry.of(source), [Drawn(), Drawn()])
    window = Window(2, 1, 5, 4)
    fine: Tensor = pyramid.read(2, window.scaled(4))
    assert torch.equal(torch.from_numpy(draws_of_levels(pyramid, 4)(window)), fine)
    reduced = draws_of_levels(pyramid, 3)(window)
    assert reduced.shape == (3, 2, 15, 12)
    for draw, expected in zip(reduced, fine, strict=True):
        np.testing.assert_array_equal(draw, area_average(expected.numpy(), 4, 3))


@pytest.mark.parametrize(("factor", "scale"), [(4, 3), (8, 5), (8, 6), (16, 9), (2, 2), (32, 25)])
def test_area_average_is_a_block_mean_on_a_common_grid(factor: int, scale: int) -> None:
    image = RNG.random((2, factor, 3 * factor)).astype(np.float32)
    common = repeat(image.astype(np.float64), scale)
    expected = common.reshape(2, scale, factor, 3 * scale, factor).mean(axis=(2, 4))
    np.testing.assert_allclose(area_average(image, factor, scale), expected, atol=1e-6)


def test_area_average_of_a_part_is_part_of_it() -> None:
    image = RNG.random((1, 24, 40)).astype(np.float32)
    part = area_average(image[:, 8:16, 16:40], 8, 5)
    assert np.array_equal(part, area_average(image, 8, 5)[:, 5:10, 10:25])
