"""A local U-Net that removes noise from stacked wavelet bands, told the noise level and a guide."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ultrares.nets.wavelet_residual import silence


class ModulatedBlock(nn.Module):
    """A residual block whose hidden channels are scaled and shifted by the noise level (FiLM).

    There is no normalisation over the image: statistics of a tile would make the result depend on how a
    scene is cut.
    """

    def __init__(self, width: int, embedding: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        self.modulation = nn.Linear(embedding, 2 * width)
        silence(self.second)
        nn.init.normal_(self.second.weight, std=1e-3)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)

    def forward(self, features: Tensor, embedding: Tensor) -> Tensor:
        """Refine ``features`` (B, width, h, w) at the noise level of ``embedding`` (B, E)."""
        scale, shift = self.modulation(embedding)[:, :, None, None].chunk(2, dim=1)
        hidden = self.first(nn.functional.silu(features))
        hidden = torch.addcmul(shift, hidden, 1 + scale)
        refined: Tensor = self.second(nn.functional.silu(hidden)).add_(features)
        return refined


class DenoiserUNet(nn.Module):
    """Conditional U-Net with one down-sampling, whose receptive field is declared and finite.

    Args:
        bands: Channels of the noisy signal (four wavelet bands of each image band).
        guide: Channels of the guide: the image and the bands of its conditional mean.
        width: Channels at full resolution; twice as many at half.
        blocks: Residual blocks before the down-sampling, at half resolution, and after it.
    """

    def __init__(
        self,
        *,
        bands: int = 12,
        guide: int = 15,
        width: int = 64,
        blocks: tuple[int, int, int] = (3, 4, 3),
    ) -> None:
        super().__init__()
        before, inner, after = blocks
        embedding = 2 * width
        self.multiple_of = 2
        # 3x3 stem and head, two 3x3 per block (twice as far at half resolution), and the resizing pair.
        self.halo = 2 + 2 * (before + after) + 2 * (2 * inner) + 4
        self.stem = nn.Conv2d(bands + guide, width, 3, padding=1)
        self.frequencies: Tensor
        self.register_buffer("frequencies", torch.exp(torch.linspace(0, math.log(16), 16)))
        self.embed = nn.Sequential(
            nn.Linear(34, embedding), nn.SiLU(), nn.Linear(embedding, embedding), nn.SiLU()
        )
        self.before = nn.ModuleList(ModulatedBlock(width, embedding) for _ in range(before))
        self.down = nn.Conv2d(width, 2 * width, 2, stride=2)
        self.inner = nn.ModuleList(ModulatedBlock(2 * width, embedding) for _ in range(inner))
        self.up = nn.Conv2d(2 * width, 4 * width, 1)
        self.after = nn.ModuleList(ModulatedBlock(width, embedding) for _ in range(after))
        self.head = nn.Conv2d(width, bands, 3, padding=1)
        silence(self.head)

    def forward(self, noisy: Tensor, guide: Tensor, log_sigma: Tensor, context: Tensor) -> Tensor:
        """Predict ``v = signal * noise - sqrt(1 - signal**2) * clean`` (Salimans and Ho, 2022).

        Args:
            noisy: Variance-preserving mixture of unit-variance signal and noise, (B, bands, h, w);
                h and w even.
            guide: What is known about the clean signal, (B, guide, h, w).
            log_sigma: Logarithm of the ratio of noise to signal, (B,) or (1,) for all.
            context: Sensor and cascade depth, (B, 2) or (1, 2).
        """
        phases = log_sigma[:, None] * self.frequencies / 4
        embedding = self.embed(torch.cat([phases.sin(), phases.cos(), context], dim=1))
        features = self.stem(torch.cat([noisy, guide], dim=1))
        for block in self.before:
            features = block(features, embedding)
        inner = self.down(features)
        for block in self.inner:
            inner = block(inner, embedding)
        features = features + nn.functional.pixel_shuffle(self.up(inner), 2)
        for block in self.after:
            features = block(features, embedding)
        predicted: Tensor = self.head(nn.functional.silu(features))
        return predicted
