"""The image losses of the WaveDiffUR paper: true bands that are smooth, and a consistent image."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from ultrares.training.sections import LossSection, Variation
from ultrares.wavelet import Bands, split

SSIM_SIDE = 11
SSIM_SIGMA = 1.5
SSIM_CONSTANTS = (0.01**2, 0.03**2)
"""(K1, K2)^2 of Wang et al. 2004, for a data range of 1."""

LEAST = 1e-6
"""What is added to a squared error that may be zero: a quarter of a digital number, squared."""


def image_loss(estimate: Tensor, truth: Tensor, settings: LossSection) -> Tensor:
    """Everything that a recipe's loss section asks for.

    Args:
        estimate: Shape (B, C, 2h, 2w), in [0, 1] and a little beyond.
        truth: Of the same shape.
        settings: The weights; terms of weight 0 are not computed.

    Returns:
        A 0-d tensor.
    """
    terms = []
    if settings.pixel:
        terms.append(settings.pixel * F.l1_loss(estimate, truth))
    if settings.squared:
        terms.append(settings.squared * F.mse_loss(estimate, truth))
    if settings.log_squared:
        terms.append(settings.log_squared * log_squared(estimate, truth))
    if settings.structure:
        terms.append(settings.structure * (1 - ssim(estimate, truth)))
    if settings.bands or settings.smoothness:
        terms.append(
            realness(
                split(estimate),
                split(truth),
                bands=settings.bands,
                smoothness=settings.smoothness,
                variation=settings.variation,
            )
        )
    return torch.stack(terms).sum()


def psnr(estimate: Tensor, truth: Tensor) -> float:
    """Peak signal-to-noise ratio of images in [0, 1], in dB, 120 at most: for logs."""
    return -10 * math.log10(F.mse_loss(estimate, truth).item() + 1e-12)


def log_squared(estimate: Tensor, truth: Tensor) -> Tensor:
    """The logarithm of the mean squared error: -PSNR but for a factor."""
    return torch.log(F.mse_loss(estimate, truth) + LEAST)


def consistency(estimate: Tensor, truth: Tensor) -> Tensor:
    """L_consistent: the mean absolute error plus 1 - SSIM of images (B, C, H, W) in [0, 1]."""
    return F.l1_loss(estimate, truth) + 1 - ssim(estimate, truth)


def realness(
    estimate: Bands,
    truth: Bands,
    *,
    bands: float = 0.1,
    smoothness: float = 0.001,
    variation: Variation = "squared",
) -> Tensor:
    """L_realness of the detail bands V, H and D; their approximation is not looked at.

    lambda_1 MSE + lambda_2 TV, summed over the three bands. The paper's lambda_2 = 2 outweighs the error so
    far that the best estimate of white detail keeps 3 % of it (the Wiener gain); 0.001 keeps 93 %.

    Args:
        estimate: Estimated bands, (B, C, h, w) each.
        truth: True bands.
        bands: The paper's lambda_1.
        smoothness: The paper's lambda_2.
        variation: How the total variation is measured.
    """
    pairs = list(zip(estimate[1:], truth[1:], strict=True))
    error = torch.stack([F.mse_loss(ours, theirs) for ours, theirs in pairs]).sum()
    rough = torch.stack([total_variation(ours, variation) for ours, _ in pairs]).sum()
    return bands * error + smoothness * rough


def total_variation(image: Tensor, variation: Variation = "squared") -> Tensor:
    """How much neighbours differ in an image (B, C, H, W) of 2 x 2 pixels or more.

    ``squared`` is twice the mean squared difference of vertical plus that of horizontal neighbours, as
    DiffLL has it, the base of the paper's code; ``absolute`` is the mean absolute difference of each, which
    lets edges stand.
    """
    down, right = image.diff(dim=-2), image.diff(dim=-1)
    if variation == "absolute":
        return down.abs().mean() + right.abs().mean()
    return 2 * (down.square().mean() + right.square().mean())


def ssim(estimate: Tensor, truth: Tensor) -> Tensor:
    """Structural similarity of images (B, C, H, W) in [0, 1], 11 x 11 pixels or more.

    Gaussian windows of standard deviation 1.5 that lie inside the image; mean over windows, bands and
    batch (Wang et al. 2004, Eq. 13).
    """
    x, y = estimate, truth
    moments = _blurred(torch.stack([x, y, x * x, y * y, x * y]))
    mean_x, mean_y, square_x, square_y, product = moments
    covariance = product - mean_x * mean_y
    variances = square_x - mean_x**2 + square_y - mean_y**2
    c1, c2 = SSIM_CONSTANTS
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    return (luminance * (2 * covariance + c2) / (variances + c2)).mean()


def _blurred(images: Tensor) -> Tensor:
    """Gaussian means of (..., H, W) at every place whose window lies inside, (..., H - 10, W - 10)."""
    at = torch.arange(SSIM_SIDE, dtype=images.dtype, device=images.device) - SSIM_SIDE // 2
    kernel = torch.exp(-(at**2) / (2 * SSIM_SIGMA**2))
    kernel = kernel / kernel.sum()
    flat = images.reshape(-1, 1, *images.shape[-2:])
    flat = F.conv2d(F.conv2d(flat, kernel.view(1, 1, -1, 1)), kernel.view(1, 1, 1, -1))
    return flat.reshape(*images.shape[:-2], *flat.shape[-2:])
