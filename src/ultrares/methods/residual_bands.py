"""The signal that diffuses: what the conditional mean of a level still lacks, in standardised bands."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ultrares.wavelet import Bands, merge, split

DETAIL_GAIN = 5.0
"""Brings the detail bands of a guide to the order of its image."""


@dataclass(frozen=True)
class ResidualBands:
    """Encodes a fine image as standardised wavelet bands of its difference from a mean, and back.

    Attributes:
        stds: Standard deviation of the approximation, vertical, horizontal and diagonal residuals of an
            image in [0, 1], measured on the training data.
    """

    stds: tuple[float, float, float, float]

    def _scale(self, like: Tensor) -> Tensor:
        bands = like.shape[1] // 4
        return torch.tensor(self.stds, dtype=like.dtype, device=like.device).repeat_interleave(
            bands
        )[:, None, None]

    def encode(self, fine: Tensor, mean: Tensor) -> Tensor:
        """Standardised residual (B, 4 * C, h, w) of ``fine`` (B, C, 2 * h, 2 * w) around ``mean``."""
        stacked = split(fine - mean).stack()
        return stacked / self._scale(stacked)

    def decode(self, residual: Tensor, mean: Tensor) -> Tensor:
        """The image whose standardised residual around ``mean`` is given."""
        return mean + merge(Bands.unstack(residual * self._scale(residual)))


def guide_of(image: Tensor, mean: Tensor) -> Tensor:
    """What a denoiser is told about the clean signal: the image and the bands of its mean.

    Args:
        image: The level's input, (B, C, h, w), in [0, 1].
        mean: The conditional mean, (B, C, 2 * h, 2 * w).

    Returns:
        Shape (B, 5 * C, h, w).
    """
    return torch.cat([image - 0.5, scaled_bands(mean)], dim=1)


def scaled_bands(image: Tensor) -> Tensor:
    """The bands of an image (B, C, 2 * h, 2 * w) in [0, 1], all of order one, (B, 4 * C, h, w)."""
    bands = split(image)
    return torch.cat([bands.approx / 2 - 0.5, *(DETAIL_GAIN * band for band in bands[1:])], dim=1)


def unscaled_difference(difference: Tensor) -> Bands:
    """The bands whose scaled versions differ by ``difference`` (B, 4 * C, h, w)."""
    approx, *details = Bands.unstack(difference)
    return Bands(2 * approx, *(detail / DETAIL_GAIN for detail in details))
