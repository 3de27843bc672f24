"""Metrics made of errors alone, against other implementations and worked values."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import wasserstein_distance
from skimage.metrics import peak_signal_noise_ratio
from torchmetrics.functional.image import error_relative_global_dimensionless_synthesis

from ultrares.errors import InputError
from ultrares.metrics.ergas import ergas
from ultrares.metrics.fidelity import mae_dn, psnr, sre, sre_db
from ultrares.metrics.histogram import histogram_distance


@pytest.fixture
def pair() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(2)
    truth = rng.integers(20, 256, size=(4, 40, 56)).astype(np.uint8)
    estimate = np.clip(truth + rng.normal(3, 20, size=truth.shape), 0, 255).round()
    return estimate.astype(np.uint8), truth


def test_psnr_agrees_with_scikit_image(pair) -> None:
    estimate, truth = pair
    expected = peak_signal_noise_ratio(truth, estimate, data_range=255)  # type: ignore[no-untyped-call]
    assert psnr(estimate, truth) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("scale", [2, 8])
def test_ergas_agrees_with_torchmetrics(pair, scale: int) -> None:
    one, other = (torch.from_numpy(image)[None].double() for image in pair)
    expected = error_relative_global_dimensionless_synthesis(one, other, ratio=scale)
    assert ergas(*pair, scale=scale) == pytest.approx(float(expected), rel=1e-9)


def test_relative_errors_of_worked_values() -> None:
    truth = np.array([[[3.0, 4.0]]])
    estimate = np.array([[[3.0, 3.0]]])
    assert sre(estimate, truth) == pytest.approx(20)  # an error of 1 beside a norm of 5
    assert mae_dn(estimate, truth) == 0.5
    assert sre_db(estimate, truth) == pytest.approx(10 * math.log10(3.5**2 / 0.5))
    assert sre_db(truth, truth) == math.inf


def test_a_black_truth_has_no_relative_error() -> None:
    black = np.zeros((2, 4, 4))
    assert math.isnan(sre(black, black))
    assert sre(black + 1, black) == math.inf
    assert math.isnan(ergas(black + 1, black, scale=2))


def test_histogram_distance_agrees_with_scipy(pair) -> None:
    expected = [
        wasserstein_distance(one.ravel(), other.ravel()) for one, other in zip(*pair, strict=True)
    ]
    assert histogram_distance(*pair) == pytest.approx(expected, rel=1e-9)


def test_histogram_distance_does_not_see_places(pair) -> None:
    _, truth = pair
    assert histogram_distance(truth[:, ::-1], truth) == (0, 0, 0, 0)


def test_what_has_no_bands_is_refused() -> None:
    flat = np.zeros((4, 4))
    with pytest.raises(InputError, match="C, H, W"):
        ergas(flat, flat, scale=2)
    with pytest.raises(InputError, match="C, H, W"):
        histogram_distance(flat, flat)
