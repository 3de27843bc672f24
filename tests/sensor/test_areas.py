from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ultrares.sensor.areas import AreaMeans, plan, project_areas, shares


def edges_of(scene: int, size: int) -> np.ndarray:
    return np.arange(size + 1, dtype=np.float64) * (scene / size)


@given(scene=st.integers(2, 20), more=st.integers(1, 60))
@settings(max_examples=50, deadline=None)
def test_every_output_pixel_is_shared_out_once(scene: int, more: int) -> None:
    found = shares(edges_of(scene, scene + more), 0, scene)
    np.testing.assert_allclose(found.sum(axis=0), scene / (scene + more), rtol=1e-12)
    np.testing.assert_allclose(found.sum(axis=1), 1.0, rtol=1e-12)


def test_means_at_a_whole_scale_are_block_means() -> None:
    fine = np.random.default_rng(0).random((12, 15))
    means = AreaMeans(
        shares(edges_of(4, 12), 0, 4), shares(edges_of(5, 15), 0, 5), np.ones((12, 15), bool)
    )
    np.testing.assert_allclose(
        means.of(fine), fine.reshape(4, 3, 5, 3).mean(axis=(1, 3)), rtol=1e-12
    )


@pytest.mark.parametrize("scale", [1.2, 1.5, 2.7, 3.3, 5.8, 7.0])
def test_means_are_restored_however_pixels_straddle(scale: float) -> None:
    rng = np.random.default_rng(1)
    scene, size = 24, round(24 * scale)
    share = shares(edges_of(scene, size), 0, scene)
    means = AreaMeans(share, share, np.ones((size, size), bool))
    truth, fine = rng.uniform(50, 200, (scene, scene)), rng.uniform(50, 200, (size, size))
    pitch = scene / size
    held = project_areas(fine, truth, means, plan(pitch, pitch), -np.inf, np.inf)
    assert np.abs(means.of(fine) - truth).max() > 10
    assert np.abs(means.of(held) - truth).max() < 0.01


def test_the_change_is_the_least_that_restores_the_means() -> None:
    """Against the closed form with the pseudo-inverse, on one axis."""
    share = shares(edges_of(6, 16), 0, 6)
    means = AreaMeans(share, np.ones((1, 1)), np.ones((16, 1), bool))
    rng = np.random.default_rng(2)
    fine, truth = rng.random((16, 1)), rng.random((6, 1))
    held = project_areas(fine, truth, means, plan(6 / 16, 1.0), -np.inf, np.inf)
    np.testing.assert_allclose(
        held, fine + np.linalg.pinv(share) @ (truth - share @ fine), atol=1e-4
    )


def test_the_range_is_kept_and_neighbours_take_what_the_end_of_it_cannot() -> None:
    rng = np.random.default_rng(3)
    scene, size = 20, 66
    share = shares(edges_of(scene, size), 0, scene)
    means = AreaMeans(share, share, np.ones((size, size), bool))
    truth = np.full((scene, scene), 200.0)
    truth[5:8, 6:9] = 255.0
    fine = share.T @ truth @ share / np.outer(share.sum(0), share.sum(0)) + rng.normal(
        0, 4, (size, size)
    )
    held = project_areas(fine, truth, means, plan(scene / size, scene / size), 0, 255)
    assert held.min() >= 0
    assert held.max() <= 255
    assert np.abs(means.of(held) - truth).max() < 0.5


def test_pixels_without_data_count_for_nothing() -> None:
    share = shares(edges_of(6, 16), 0, 6)
    valid = np.ones((16, 16), bool)
    valid[:5] = False
    means = AreaMeans(share, share, valid)
    truth = np.full((6, 6), 7.0)
    fine = np.random.default_rng(4).random((16, 16)) * 10
    held = project_areas(fine, truth, means, plan(6 / 16, 6 / 16), 0, 255)
    np.testing.assert_array_equal(held[:5], fine[:5].clip(0, 255))
    found = means.of(held)
    assert np.isnan(found[0]).all()
    assert np.abs(found[2:] - 7).max() < 0.05


@pytest.mark.parametrize("scale", [1.5, 2.2, 2.7, 3.3, 5.5])
def test_means_of_an_image_at_both_ends_of_the_range_are_found_again(scale: float) -> None:
    rng = np.random.default_rng(0)
    scene, size = 60, round(60 * scale)
    share = shares(edges_of(scene, size), 0, scene)
    means = AreaMeans(share, share, np.ones((size, size), bool))
    truth = np.where(
        rng.random((size, size)) < 0.5,
        rng.choice([0.0, 255.0], (size, size)),
        rng.uniform(0, 255, (size, size)),
    )
    truth[size // 3 : size // 2, size // 3 : size // 2] = 255
    start = truth.mean() + rng.normal(0, 20, truth.shape)
    how = plan(scene / size, scene / size)
    found = project_areas(start, means.of(truth), means, how, 0, 255)
    assert 0 <= found.min() <= found.max() <= 255
    # Half a digital number is what rounding may take; a plain iteration was 2.0 off after as many steps at x1.5.
    assert np.abs(means.of(found) - means.of(truth)).max() < 0.25


@pytest.mark.parametrize("scale", [1.2, 1.3, 1.4, 3.7])
@pytest.mark.parametrize("middle", [5, 250])
def test_what_cannot_be_kept_is_missed_by_little(scale: float, middle: float) -> None:
    """Noise at an end of the range has no finer image with all its means at the smallest of these scales."""
    rng = np.random.default_rng(1)
    scene, size = 60, round(60 * scale)
    share = shares(edges_of(scene, size), 0, scene)
    means = AreaMeans(share, share, np.ones((size, size), bool))
    truth = np.rint(rng.normal(middle, 8, (scene, scene))).clip(0, 255)
    nearest = np.arange(size) * scene // size
    found = project_areas(
        truth[np.ix_(nearest, nearest)], truth, means, plan(scene / size, scene / size), 0, 255
    )
    assert np.abs(means.of(found) - truth).max() < 16
