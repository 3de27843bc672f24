from __future__ import annotations

import math

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio

from ultrares.metrics.fidelity import psnr


def test_psnr_agrees_with_scikit_image() -> None:
    rng = np.random.default_rng(0)
    truth, estimate = rng.integers(0, 256, size=(2, 3, 20, 24)).astype(np.uint8)
    expected = peak_signal_noise_ratio(truth, estimate, data_range=255)  # type: ignore[no-untyped-call]
    assert psnr(estimate, truth) == pytest.approx(expected, abs=1e-9)


def test_psnr_of_one_level_off_everywhere() -> None:
    truth = np.full((1, 4, 4), 7, dtype=np.uint8)
    assert psnr(truth + 1, truth) == pytest.approx(20 * math.log10(255))
    assert psnr(truth, truth) == math.inf
