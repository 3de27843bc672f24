"""Distances between sets of images, against closed forms and expectations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tests.metrics.test_lpips import made_up
from ultrares.errors import InputError, ModelError
from ultrares.metrics.extractors import INCEPTION, extractor_from
from ultrares.metrics.frechet import fid
from ultrares.metrics.kernel_distance import kid

__all__ = ["made_up"]


def with_moments(mean: np.ndarray, covariance: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Rows whose sample mean and unbiased sample covariance are exactly those given."""
    raw = np.random.default_rng(seed).normal(size=(count, len(mean)))
    raw -= raw.mean(axis=0)
    white = raw @ np.linalg.inv(np.linalg.cholesky(np.cov(raw, rowvar=False))).T
    return white @ np.linalg.cholesky(covariance).T + mean


def test_fid_of_gaussians_that_share_axes_is_the_closed_form() -> None:
    # For commuting covariances the distance is |m - n|^2 + |A^(1/2) - B^(1/2)|^2.
    rng = np.random.default_rng(1)
    axes, _ = np.linalg.qr(rng.normal(size=(5, 5)))
    wide, narrow = np.array([4.0, 1, 9, 0.25, 2]), np.array([1.0, 1, 4, 0.5, 3])
    mean, other = rng.normal(size=5), rng.normal(size=5)
    one = with_moments(mean, axes @ np.diag(wide) @ axes.T, 40, seed=2)
    two = with_moments(other, axes @ np.diag(narrow) @ axes.T, 60, seed=3)
    expected = np.sum((mean - other) ** 2) + np.sum((np.sqrt(wide) - np.sqrt(narrow)) ** 2)
    assert fid(one, two) == pytest.approx(expected, rel=1e-9)
    assert fid(two, one) == pytest.approx(expected, rel=1e-9)
    assert fid(one, one) == pytest.approx(0, abs=1e-9)


def test_kid_is_zero_in_the_mean_for_equal_distributions() -> None:
    rng = np.random.default_rng(4)
    draws = np.array([kid(*rng.normal(size=(2, 12, 6))) for _ in range(2000)])
    assert abs(draws.mean()) < 4 * draws.std() / np.sqrt(len(draws))
    assert (draws < 0).mean() > 0.3
    shifted = [kid(rng.normal(size=(12, 6)) + 1, rng.normal(size=(12, 6))) for _ in range(50)]
    assert np.mean(shifted) > 10 * abs(draws.mean())


def test_kid_of_worked_values() -> None:
    # Kernel values: 8 within the first set, 1 within the second, 1 between them.
    one, other = np.ones((2, 3)), np.zeros((2, 3))
    assert kid(one, other) == pytest.approx(8 + 1 - 2)


def test_sets_that_cannot_be_compared_are_refused() -> None:
    with pytest.raises(InputError, match="two images or more"):
        fid(np.zeros((1, 3)), np.zeros((4, 3)))
    with pytest.raises(InputError, match="same extractor"):
        kid(np.zeros((2, 3)), np.zeros((4, 5)))


def test_alexnet_stands_in_under_its_own_name(made_up: Path) -> None:
    extractor = extractor_from(made_up)
    assert extractor.name == "alexnet"
    rng = torch.Generator().manual_seed(1)
    image = torch.rand(3, 64, 70, generator=rng)
    features = extractor(image)
    assert features.shape == (64 + 192 + 384 + 256 + 256,)
    assert not np.allclose(features, extractor(image.flip(0)))


def test_says_which_weights_are_missing(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="neither"):
        extractor_from(tmp_path)


def test_inception_of_other_weights_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("torchvision")
    save_file({"fc.bias": torch.zeros(1000)}, tmp_path / INCEPTION)
    with pytest.raises(ModelError, match="it lacks"):
        extractor_from(tmp_path)
