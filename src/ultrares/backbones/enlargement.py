"""The bicubic enlargement that systems start from, condition on, or add to."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

ENLARGEMENT_REACH = 2
"""Pixels of the image that the bicubic enlargement reads beyond its own."""


def enlarge(image: Tensor, scale: int) -> Tensor:
    """The bicubic enlargement of an image (B, C, h, w), (B, C, scale * h, scale * w)."""
    return F.interpolate(image, scale_factor=scale, mode="bicubic", antialias=True)
