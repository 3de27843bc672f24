"""Cross-scale high-frequency restoration (CSHR): the module M that predicts V, H and D.

arXiv 2412.18996, section 3.2.2, Eq. 17. It works where V, H, D of the level's input live, at half the
input's resolution, and shuffles its result up to the bands of the finer image.
"""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from ultrares.nets.layers import ProgressiveDilation, Separable, WindowCrossAttention
from ultrares.nets.wavelet_residual import silence

FOLD = 2
"""Pixels of the level's input per pixel of its detail bands, along one side."""


class HighFrequency(nn.Module):
    """Predicts what the detail bands still lack, V and H helping D by cross-attention.

    Args:
        bands: Bands of the image.
        width: Channels; a multiple of ``heads``.
        heads: Attention heads.
        window: Side of an attention window, in pixels of the detail bands.
    """

    def __init__(
        self, *, bands: int = 3, width: int = 96, heads: int = 12, window: int = 8
    ) -> None:
        super().__init__()
        self.bands = bands
        self.multiple_of = FOLD * window
        self.halo = FOLD * (1 + window - 1 + ProgressiveDilation.REACH)
        fold = FOLD**2
        # Restored band and condition of the finer image, and the band of the level's input.
        self.head = Separable((2 * fold + 1) * bands, width)
        self.scene = Separable(5 * bands * fold, width)
        self.context = nn.Linear(2, width)
        self.from_vertical = WindowCrossAttention(width, heads=heads, window=window)
        self.from_horizontal = WindowCrossAttention(width, heads=heads, window=window)
        self.dilations = nn.ModuleList(ProgressiveDilation(width) for _ in range(3))
        self.tail = nn.Conv2d(width, bands * fold, 1)
        silence(self.tail)

    def forward(self, guide: Tensor, condition: Tensor, known: Tensor, context: Tensor) -> Tensor:
        """Predict what V, H and D lack beyond their restoration and its condition.

        Args:
            guide: The level's image and the scaled bands of its restoration, (B, 5 * C, h, w); h and w
                are multiples of ``multiple_of``.
            condition: tau_V, tau_H, tau_D, (B, 3 * C, h, w); zeros without a reference.
            known: V, H, D of the level's input, scaled, (B, 3 * C, h / 2, w / 2).
            context: Sensor and cascade depth, (B, 2) or (1, 2).

        Returns:
            Shape (B, 3 * C, h, w), on the scale of the guide.
        """
        base = _each(guide[:, 2 * self.bands :])
        fine = torch.cat(
            [F.pixel_unshuffle(base, FOLD), F.pixel_unshuffle(_each(condition), FOLD)], dim=1
        )
        features = self.head(torch.cat([fine, _each(known)], dim=1))
        shared = (
            self.scene(F.pixel_unshuffle(guide, FOLD)) + self.context(context)[:, :, None, None]
        )
        vertical, horizontal, diagonal = (
            rearrange(features, "(n b) c h w -> n b c h w", n=3) + shared
        )
        diagonal = (
            diagonal
            + self.from_vertical(diagonal, vertical)
            + self.from_horizontal(diagonal, horizontal)
        )
        refined = [
            dilation(band)
            for dilation, band in zip(self.dilations, (vertical, horizontal, diagonal), strict=True)
        ]
        residual = F.pixel_shuffle(self.tail(torch.cat(refined)), FOLD)
        return rearrange(residual, "(n b) c h w -> b (n c) h w", n=3)


def _each(bands: Tensor) -> Tensor:
    """V, H and D side by side as a batch, so that they share weights: (3 * B, C, h, w)."""
    return rearrange(bands, "b (n c) h w -> (n b) c h w", n=3)
