"""A x2 or x4 super-resolver that works at low resolution and up-samples by the inverse wavelet transform."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ultrares.wavelet import Bands, merge


def silence(layer: nn.Conv2d | nn.Linear) -> None:
    """Start a layer at zero."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions around a leaky ReLU, added to their input; starts as the identity."""

    def __init__(self, width: int, slope: float = 0.1) -> None:
        super().__init__()
        self.slope = slope
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        # Close to, not at zero: exact zeros were seen to stall at bf16 training rates.
        silence(self.second)
        nn.init.normal_(self.second.weight, std=1e-3)

    def forward(self, features: Tensor) -> Tensor:
        """Refine ``features`` (B, width, h, w)."""
        # In place, for what a convolution returned is needed by nobody else.
        hidden = nn.functional.leaky_relu(self.first(features), self.slope, inplace=True)
        refined: Tensor = self.second(hidden).add_(features)
        return refined


class WaveletResidualNet(nn.Module):
    """Predicts the wavelet bands that a bicubic enlargement lacks: four at x2, sixteen at x4.

    Every layer is a 3x3 convolution at the resolution of the input, so the net is local: a result depends
    on ``halo`` pixels around it and on nothing else. Two scalars tell it what kind of image it sees: the
    sensor's modulation transfer at Nyquist, and how many levels of a cascade made it.

    Args:
        bands: Bands of the image.
        width: Channels of the residual blocks.
        blocks: Number of residual blocks.
        scale: Output pixels per input pixel, 2 or 4.
        gain: Factor on the predicted bands, so that a freshly initialised head learns at the common rate.
    """

    def __init__(
        self,
        *,
        bands: int = 3,
        width: int = 64,
        blocks: int = 16,
        scale: int = 2,
        gain: float = 0.25,
    ) -> None:
        super().__init__()
        assert scale in (2, 4), f"{scale} is neither 2 nor 4"
        self.bands = bands
        self.scale = scale
        self.gain = gain
        self.halo = 2 * blocks + 3
        self.stem = nn.Conv2d(bands, width, 3, padding=1)
        self.context = nn.Linear(2, width)
        self.trunk = nn.Sequential(*(ResidualBlock(width) for _ in range(blocks)))
        self.neck = nn.Conv2d(width, width, 3, padding=1)
        self.head = nn.Conv2d(width, scale**2 * bands, 3, padding=1)
        silence(self.head)

    def forward(self, image: Tensor, context: Tensor) -> Tensor:
        """Predict the missing detail.

        Args:
            image: Shape (B, C, h, w), in [0, 1].
            context: Shape (B, 2): modulation transfer at Nyquist, and depth in the cascade (0 for an image
                that a sensor took), both of order one.

        Returns:
            What the enlargement lacks, (B, C, scale * h, scale * w): approximation, vertical, horizontal and
            diagonal residuals, each of which is merged from four of its own at x4.
        """
        features = self.stem(image - 0.5) + self.context(context)[:, :, None, None]
        features = features + self.neck(self.trunk(features))
        # Bands added up in half precision would be rounded once more.
        lacking: Tensor = (self.gain * self.head(features)).to(image.dtype)
        for _ in range(self.scale.bit_length() - 1):
            lacking = merge(Bands.unstack(lacking))
        return lacking


def context_vector(batch: int, *, mtf: float, depth: int) -> Tensor:
    """The two scalars :class:`WaveletResidualNet` and the denoiser are told, shape (batch, 2)."""
    return torch.tensor([[2 * mtf - 1, min(depth, 2) / 2]]).expand(batch, 2)
