"""A codebook: continuous vectors in, the nearest of a few learned ones out (van den Oord et al. 2017)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class VectorQuantiser(nn.Module):
    """Replaces each vector by the nearest code; gradients pass straight through.

    Args:
        codes: Number of codes.
        width: Components of each.
    """

    COMMITMENT = 0.25

    def __init__(self, codes: int, width: int) -> None:
        super().__init__()
        self.codebook = nn.Parameter(torch.randn(codes, width))

    def nearest(self, vectors: Tensor) -> Tensor:
        """Numbers of the nearest codes of vectors (B, width, h, w), integers (B, h, w)."""
        return self._likeness(vectors).argmax(dim=-1)

    def imbalance(self, vectors: Tensor) -> Tensor:
        """How unevenly vectors (B, width, h, w) use the codes, from 0 to ln(codes), 0-d.

        The logarithm of the number of codes less the entropy of their mean soft share, whose gradient
        wakes codes that nothing is near to; an unused one would get none ever.
        """
        shares = self._likeness(vectors).softmax(dim=-1).flatten(0, 2).mean(dim=0)
        entropy = -(shares * shares.clamp(min=1e-12).log()).sum()
        return math.log(len(self.codebook)) - entropy

    def _likeness(self, vectors: Tensor) -> Tensor:
        """Half of |v|^2 - |v - c|^2 for each code, (B, h, w, codes)."""
        flat = vectors.permute(0, 2, 3, 1).float()
        # In single precision whatever surrounds it, or near codes are taken for equal.
        with torch.autocast(vectors.device.type, enabled=False):
            return flat @ self.codebook.T - 0.5 * self.codebook.square().sum(dim=1)

    def look_up(self, codes: Tensor) -> Tensor:
        """The vectors (B, width, h, w) of codes (B, h, w)."""
        return F.embedding(codes, self.codebook).permute(0, 3, 1, 2)

    def forward(self, vectors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Quantise vectors (B, width, h, w).

        Returns:
            The nearest codes' vectors, whose gradient is that of ``vectors``; their numbers; and the
            loss that draws codes to vectors and, a quarter as strongly, vectors to codes, 0-d.
        """
        vectors = vectors.float()
        codes = self.nearest(vectors)
        near = self.look_up(codes)
        loss = F.mse_loss(near, vectors.detach()) + self.COMMITMENT * F.mse_loss(
            vectors, near.detach()
        )
        return vectors + (near - vectors).detach(), codes, loss
