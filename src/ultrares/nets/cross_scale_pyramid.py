"""The cross-scale pyramid (CSP) encoder: what a reference image tells about the bands of a level.

arXiv 2412.18996, section 3.2.1, Eq. 12 and 14 to 16. The encoder works at half the resolution of the
level's input (pixel-unshuffled, so nothing is lost), where a window of 8 pixels spans 16 of the input.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ultrares.nets.coherence import REACH, band_coherence
from ultrares.nets.layers import ChannelNorm, ProgressiveDilation, Separable, WindowCrossAttention
from ultrares.nets.wavelet_residual import silence

GATE_GAIN = 10.0
"""Slope of the gates: without it they take thousands of steps to open and close."""

FOLD = 2
"""Pixels of the level's input per pixel of the encoder, along one side."""


class CrossScaleBlock(nn.Module):
    """Cross-attention from the image's features to the reference's, a feed-forward layer, dilation."""

    def __init__(self, width: int, *, heads: int, window: int) -> None:
        super().__init__()
        self.attention = WindowCrossAttention(width, heads=heads, window=window)
        # Attention finds what has moved; what has not is handed over in place.
        self.aligned = nn.Conv2d(width, width, 1)
        self.feed_forward = nn.Sequential(
            ChannelNorm(width),
            nn.Conv2d(width, 2 * width, 1),
            nn.GELU(),
            nn.Conv2d(2 * width, width, 1),
        )
        self.dilation = ProgressiveDilation(width)
        self.reach = self.attention.reach + ProgressiveDilation.REACH

    def start_as_identity(self) -> None:
        """Leave features as they are until trained otherwise."""
        silence(self.aligned)
        last = self.feed_forward[-1]
        assert isinstance(last, nn.Conv2d)
        silence(last)

    def forward(self, features: Tensor, reference: Tensor) -> Tensor:
        """Refine ``features`` (B, width, h, w) by ``reference`` of the same shape."""
        features = features + self.attention(features, reference) + self.aligned(reference)
        features = features + self.feed_forward(features)
        refined: Tensor = self.dilation(features)
        return refined


class CrossScalePyramid(nn.Module):
    """Estimates the conditions tau_lf, tau_V, tau_H and tau_D from a level's image and a reference.

    Each condition is a correction of the band that a super-resolver restored: a learned gate in [0, 1]
    mixes the reference's band in, and a residual is added. Where the reference is not valid, all are 0,
    so that without a reference Algorithm 2 falls back to Algorithm 1.

    Args:
        bands: Bands of the image.
        width: Channels; a multiple of ``heads``.
        heads: Attention heads; the paper compares 8, 12 and 16.
        blocks: Cross-scale blocks.
        window: Side of an attention window, in pixels of the encoder.
    """

    def __init__(
        self, *, bands: int = 3, width: int = 96, heads: int = 12, blocks: int = 1, window: int = 8
    ) -> None:
        super().__init__()
        self.bands = bands
        self.multiple_of = FOLD * window
        fold = FOLD**2
        self.image_stem = Separable(5 * bands * fold, width)
        self.reference_stem = Separable((16 * bands + 1) * fold, width)
        self.context = nn.Linear(2, width)
        self.blocks = nn.ModuleList(
            CrossScaleBlock(width, heads=heads, window=window) for _ in range(blocks)
        )
        for block in self.blocks[1:]:
            assert isinstance(block, CrossScaleBlock)
            block.start_as_identity()
        self.halo = REACH + FOLD * (1 + blocks * (window - 1 + ProgressiveDilation.REACH))
        self.coherent_gate = nn.Conv2d(8 * bands, 4 * bands, 1)
        silence(self.coherent_gate)
        self.residual = nn.Conv2d(width, 4 * bands * fold, 1)
        self.gate = nn.Conv2d(width, 4 * bands * fold, 1)
        silence(self.residual)
        silence(self.gate)
        assert self.gate.bias is not None
        nn.init.constant_(self.gate.bias, -3.0 / GATE_GAIN)

    def forward(self, guide: Tensor, reference: Tensor, valid: Tensor, context: Tensor) -> Tensor:
        """Estimate the four conditions.

        Args:
            guide: The level's image and the scaled bands of its restoration, (B, 5 * C, h, w); see
                ``ultrares.methods.residual_bands.guide_of``. h and w are multiples of ``multiple_of``.
            reference: The reference's bands on the same grid and scale, (B, 4 * C, h, w).
            valid: Share of each pixel that the reference covers, (B, 1, h, w).
            context: Sensor and cascade depth, (B, 2) or (1, 2).

        Returns:
            Corrections of the restored bands, on the same scale, (B, 4 * C, h, w).
        """
        offered = valid * (reference - guide[:, self.bands :])
        with torch.autocast(guide.device.type, enabled=False):
            coherence = valid * band_coherence(guide, valid * reference)
        told = torch.cat([valid * reference, offered, valid, coherence], dim=1)
        features = self.image_stem(F.pixel_unshuffle(guide, FOLD))
        features = features + self.context(context)[:, :, None, None]
        source = self.reference_stem(F.pixel_unshuffle(told, FOLD))
        for block in self.blocks:
            features = block(features, source)
        gate = F.pixel_shuffle(self.gate(features), FOLD) + self.coherent_gate(coherence)
        residual = F.pixel_shuffle(self.residual(features), FOLD)
        condition: Tensor = (GATE_GAIN * gate).sigmoid() * offered + valid * residual
        return condition
