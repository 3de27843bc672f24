from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from ultrares.errors import InputError
from ultrares.metrics.ssim import ssim


@pytest.mark.parametrize("shape", [(3, 40, 52), (1, 11, 11), (2, 11, 30)])
def test_agrees_with_scikit_image(shape: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 256, size=shape).astype(np.uint8)
    noise = rng.normal(0, 25, size=shape)
    estimate = np.clip(truth + noise, 0, 255).round().astype(np.uint8)
    maps = [
        structural_similarity(  # type: ignore[no-untyped-call]
            one,
            other,
            data_range=255,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
        for one, other in zip(truth, estimate, strict=True)
    ]
    assert ssim(estimate, truth) == pytest.approx(np.mean(maps), abs=1e-12)
    assert ssim(torch.from_numpy(estimate), torch.from_numpy(truth)) == ssim(estimate, truth)


def test_two_flat_images_differ_by_luminance_alone() -> None:
    dark, light = np.full((1, 16, 16), 60.0), np.full((1, 16, 16), 180.0)
    c1 = (0.01 * 255) ** 2
    expected = (2 * 60 * 180 + c1) / (60**2 + 180**2 + c1)
    assert ssim(dark, light) == pytest.approx(expected, abs=1e-12)
    assert ssim(dark, dark) == 1


def test_refuses_what_the_window_does_not_fit() -> None:
    with pytest.raises(InputError, match="11 x 11"):
        ssim(np.zeros((3, 10, 40)), np.zeros((3, 10, 40)))
    with pytest.raises(InputError, match="one shape"):
        ssim(np.zeros((3, 20, 20)), np.zeros((3, 20, 21)))
