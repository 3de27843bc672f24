"""The measured modulation transfer, against blurs whose transfer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from ultrares.errors import InputError
from ultrares.metrics.resolution import TransferTally, mtf50

RNG = np.random.default_rng(7)
NOISE = RNG.normal(100, 20, size=(2, 512, 512))


@pytest.mark.parametrize("std", [0.8, 1.0, 2.0, 3.0])
def test_a_gaussian_blur_has_its_own_frequency(std: float) -> None:
    # The transfer exp(-2 (pi f s)^2) is one half at sqrt(ln 2 / 2) / (pi s).
    blurred = gaussian_filter(NOISE, sigma=(0, std, std), mode="wrap")
    expected = math.sqrt(math.log(2) / 2) / (math.pi * std)
    assert mtf50(blurred, NOISE) == pytest.approx(expected, rel=0.03)


def test_invented_detail_does_not_count() -> None:
    blurred = gaussian_filter(NOISE, sigma=(0, 2, 2), mode="wrap")
    invented = blurred + np.random.default_rng(8).normal(0, 20, size=NOISE.shape)
    assert mtf50(invented, NOISE) == pytest.approx(mtf50(blurred, NOISE), rel=0.1)


def test_the_truth_itself_resolves_all() -> None:
    assert mtf50(NOISE, NOISE) == 0.5
    assert mtf50(NOISE + 50, NOISE) == 0.5


def test_nothing_is_known_of_a_flat_truth() -> None:
    flat = np.full((1, 64, 64), 7.0)
    assert math.isnan(mtf50(flat, flat))
    assert math.isnan(TransferTally().scores()["effective_pixel"])


def test_small_images_are_refused() -> None:
    with pytest.raises(InputError, match="64 x 64"):
        mtf50(np.zeros((1, 63, 80)), np.zeros((1, 63, 80)))
