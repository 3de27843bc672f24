from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torchmetrics.functional.image import spectral_angle_mapper

from ultrares.errors import InputError
from ultrares.metrics.spectral import sam


@pytest.mark.parametrize("bands", [2, 3, 13])
def test_agrees_with_torchmetrics(bands: int) -> None:
    torch.manual_seed(0)
    one, other = 1 + 254 * torch.rand(2, bands, 17, 9, dtype=torch.float64)
    expected = math.degrees(float(spectral_angle_mapper(one[None], other[None])))
    assert sam(one, other) == pytest.approx(expected, abs=1e-9)
    assert sam(one.numpy(), other.numpy()) == pytest.approx(expected, abs=1e-9)


def test_brightness_does_not_count() -> None:
    image = np.random.default_rng(0).integers(1, 100, size=(4, 6, 5))
    assert sam(2 * image, image) == pytest.approx(0, abs=1e-12)


def test_black_pixels_are_skipped() -> None:
    truth = np.array([[[3.0, 0.0, 5.0]], [[0.0, 0.0, 5.0]]])
    estimate = np.array([[[0.0, 7.0, 0.0]], [[2.0, 1.0, 0.0]]])
    assert sam(estimate, truth) == pytest.approx(90)
    assert sam(np.full_like(truth, 4), truth) == pytest.approx(22.5)
    assert math.isnan(sam(np.zeros_like(truth), truth))


def test_one_band_has_no_direction() -> None:
    with pytest.raises(InputError, match="two bands"):
        sam(np.ones((1, 4, 4)), np.ones((1, 4, 4)))
