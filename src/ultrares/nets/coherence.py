"""How well two images agree, place by place: what decides how far a reference can be believed."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

MEAN, WINDOW = 5, 7
"""Sides of the windows of the high-pass and of the local statistics, in pixels."""

REACH = MEAN // 2 + WINDOW // 2
"""Pixels around a pixel that its statistics depend on."""

LEVEL_FLOOR, DETAIL_FLOOR = 1e-5, 1e-4
"""Variances below which there is nothing to compare: about a digital number of an 8-bit image."""


def local_coherence(first: Tensor, second: Tensor, floor: float) -> Tensor:
    """Local correlation coefficient and regression slope of two zero-mean images.

    Args:
        first: Shape (B, C, h, w).
        second: The image whose multiple explains ``first`` best, of the same shape.
        floor: Added to variances, so that flat places count as not coherent.

    Returns:
        Shape (B, 2 * C, h, w): correlations in [-1, 1], then slopes clipped to [-2, 2].
    """

    def mean(image: Tensor) -> Tensor:
        return F.avg_pool2d(image, WINDOW, 1, WINDOW // 2, count_include_pad=False)

    shared, own, other = mean(first * second), mean(first * first), mean(second * second)
    correlation = shared / ((own + floor) * (other + floor)).sqrt()
    slope = (shared / (other + floor)).clamp(-2, 2)
    return torch.cat([correlation, slope], dim=1)


def high_pass(image: Tensor) -> Tensor:
    """What an image (B, C, h, w) shows beyond its local mean."""
    return image - F.avg_pool2d(image, MEAN, 1, MEAN // 2, count_include_pad=False)


def band_coherence(guide: Tensor, reference: Tensor) -> Tensor:
    """Coherence of a level's image and its restored details with those of a reference.

    What agrees at the level's input is likely to agree in the finer details, too.

    Args:
        guide: The level's image and the scaled bands of its restoration, (B, 5 * C, h, w).
        reference: Scaled bands of the reference, (B, 4 * C, h, w).

    Returns:
        Shape (B, 8 * C, h, w): correlations and slopes of the image, and of V, H, D.
    """
    bands = guide.shape[1] // 5
    image, restored = guide[:, :bands], guide[:, 2 * bands :]
    of_image = local_coherence(high_pass(image), high_pass(reference[:, :bands]), LEVEL_FLOOR)
    of_details = local_coherence(restored, reference[:, bands:], DETAIL_FLOOR)
    return torch.cat([of_image, of_details], dim=1)
