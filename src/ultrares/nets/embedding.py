"""How a network is told a number: the noise level, the time, the factor of an enlargement."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


def sinusoidal(values: Tensor, width: int) -> Tensor:
    """Sines and cosines of floats (B,) at ``width`` / 2 frequencies from 1 down to 1e-4, (B, width)."""
    half = width // 2
    steps = torch.arange(half, dtype=values.dtype, device=values.device)
    phases = values[:, None] * torch.exp(-math.log(1e4) / half * steps)
    return torch.cat([phases.sin(), phases.cos()], dim=1)


class ScaleEmbedding(nn.Module):
    """Adds what factor an image is enlarged by to an embedding, where one network serves several."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(1, width)

    def forward(self, embedding: Tensor, scale: int) -> Tensor:
        """Add the octaves of ``scale``, centred on those of x2 and x4, to ``embedding`` (B, width)."""
        octaves = embedding.new_full((1, 1), math.log2(scale) - 1.5)
        told: Tensor = embedding + self.linear(octaves)
        return told


def embedding_of_scale(width: int, *, scales: int) -> ScaleEmbedding | None:
    """A scale embedding, if there is more than one scale to tell apart."""
    return ScaleEmbedding(width) if scales > 1 else None
