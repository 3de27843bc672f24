from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from skimage.metrics import structural_similarity
from torch import Tensor
from torch.nn import functional as F

from ultrares.training.losses import (
    LEAST,
    consistency,
    image_loss,
    realness,
    ssim,
    total_variation,
)
from ultrares.training.sections import LossSection, Preset
from ultrares.wavelet import Bands, split


def _images(*shape: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    truth = torch.rand(shape, generator=generator, dtype=torch.float64)
    noise = torch.randn(shape, generator=generator, dtype=torch.float64)
    return truth + 0.1 * noise, truth


def test_ssim_is_that_of_skimage() -> None:
    estimate, truth = _images(2, 3, 24, 31)
    expected = np.mean(
        [
            structural_similarity(  # type: ignore[no-untyped-call]
                ours, theirs, data_range=1.0, channel_axis=0, gaussian_weights=True, sigma=1.5,
                use_sample_covariance=False,
            )
            for ours, theirs in zip(estimate.numpy(), truth.numpy(), strict=True)
        ]
    )  # fmt: skip
    assert ssim(estimate, truth).item() == pytest.approx(expected, abs=1e-9)
    assert ssim(estimate.float(), truth.float()).item() == pytest.approx(expected, abs=1e-5)


def test_the_squared_error_is_weighted() -> None:
    estimate, truth = _images(1, 3, 16, 16)
    expected = 10 * F.mse_loss(estimate, truth)
    assert torch.equal(image_loss(estimate, truth, LossSection(pixel=0, squared=10)), expected)


def test_ten_times_the_error_is_twenty_decibels_whatever_its_size() -> None:
    """The loss is PSNR's logarithm, down to errors that no byte shows."""
    _, truth = _images(1, 3, 16, 16)
    settings = LossSection(pixel=0, log_squared=10 / math.log(10))
    losses = [image_loss(truth + error, truth, settings) for error in (0.3, 0.03, 0.0)]
    assert (losses[0] - losses[1]).item() == pytest.approx(20, abs=0.01)
    assert losses[2].item() == pytest.approx(10 * math.log10(LEAST))


def test_ssim_of_flat_images_is_their_luminance_term() -> None:
    dark, light = torch.full((1, 1, 16, 16), 0.2), torch.full((1, 1, 16, 16), 0.6)
    expected = (2 * 0.2 * 0.6 + 1e-4) / (0.04 + 0.36 + 1e-4)
    assert ssim(dark, light).item() == pytest.approx(expected, abs=1e-4)


def test_gradient_of_ssim_is_its_slope() -> None:
    estimate, truth = _images(1, 1, 13, 13)
    assert torch.autograd.gradcheck(
        lambda x: ssim(x, truth), estimate.requires_grad_(), fast_mode=True
    )


def test_consistency_of_equal_images_is_nothing() -> None:
    estimate, truth = _images(1, 3, 16, 16)
    assert consistency(truth, truth).item() == pytest.approx(0, abs=1e-12)
    expected = (estimate - truth).abs().mean() + 1 - ssim(estimate, truth)
    assert torch.equal(consistency(estimate, truth), expected)


def test_variation_of_a_ramp_is_its_slope() -> None:
    """Three per row and one per column."""
    rows, cols = torch.meshgrid(torch.arange(7.0), torch.arange(9.0), indexing="ij")
    ramp = (3 * rows - cols)[None, None]
    assert total_variation(ramp).item() == pytest.approx(2 * (9 + 1))
    assert total_variation(ramp, "absolute").item() == pytest.approx(3 + 1)


def test_realness_weighs_error_and_variation_of_the_details() -> None:
    estimate, truth = (split(image) for image in _images(2, 3, 16, 16))
    error = sum(F.mse_loss(a, b) for a, b in zip(estimate[1:], truth[1:], strict=True))
    rough = sum(total_variation(a) for a in estimate[1:])
    value = realness(estimate, truth, bands=0.3, smoothness=0.7)
    torch.testing.assert_close(value, 0.3 * error + 0.7 * rough)
    moved = estimate._replace(approx=estimate.approx + 5)
    assert torch.equal(realness(moved, truth), realness(estimate, truth))


def _kept(smoothness: float) -> float:
    """How much of white detail is left in the bands that the loss likes best."""
    generator = torch.Generator().manual_seed(0)
    detail = torch.randn(1, 1, 48, 48, generator=generator, dtype=torch.float64)
    truth = Bands(detail, detail, detail, detail)
    estimate = detail.clone().requires_grad_()
    solver = torch.optim.LBFGS([estimate], max_iter=60, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        solver.zero_grad()
        value = realness(Bands(detail, estimate, estimate, estimate), truth, smoothness=smoothness)
        value.backward()  # type: ignore[no-untyped-call]
        return value

    solver.step(closure)  # type: ignore[no-untyped-call]
    return ((estimate.detach() * detail).mean() / detail.square().mean()).item()


@pytest.mark.parametrize("smoothness", [2.0, 0.001])
def test_the_papers_weight_erases_detail_and_ours_keeps_it(smoothness: float) -> None:
    """The Wiener gain, averaged over frequencies: 1 / (1 + 2 smoothness / bands (8 - ...))."""
    turns = 2 * np.pi * np.arange(256) / 256
    climb = 2 - 2 * np.cos(turns)
    gain = 1 / (1 + 2 * smoothness / 0.1 * (climb[:, None] + climb[None, :]))
    kept = _kept(smoothness)
    assert kept == pytest.approx(gain.mean(), abs=0.015)
    assert kept < 0.05 if smoothness == 2 else kept > 0.9


@pytest.mark.parametrize(
    ("preset", "smoothness"), [("pixel", None), ("full", 0.001), ("paper", 2.0)]
)
def test_presets_are_sums_of_their_terms(preset: Preset, smoothness: float | None) -> None:
    estimate, truth = _images(2, 3, 24, 24)
    value = image_loss(estimate, truth, LossSection(preset=preset))
    expected = F.l1_loss(estimate, truth)
    if smoothness is not None:
        details = realness(split(estimate), split(truth), smoothness=smoothness)
        expected = consistency(estimate, truth) + details
    torch.testing.assert_close(value, expected)


def test_numbers_take_the_place_of_a_presets() -> None:
    section = LossSection(preset="paper", smoothness=0.01, variation="absolute")
    assert (section.structure, section.bands, section.smoothness) == (1.0, 0.1, 0.01)
    with pytest.raises(
        ValidationError, match="at least one of pixel, squared, log_squared, structure and bands"
    ):
        LossSection(pixel=0)
    with pytest.raises(ValidationError, match="preset"):
        LossSection.model_validate({"preset": "best"})
