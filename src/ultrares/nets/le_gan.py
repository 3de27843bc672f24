"""The generator of LE-GAN in our reading: residual blocks that attend to near pixels and near channels.

Of the paper (Shi et al. 2021) only the idea is known to us: a generator whose attention looks at a short
range in space and spectrum. How it does so here is ours, and so are all sizes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ultrares.nets.layers import ChannelNorm
from ultrares.nets.wavelet_residual import ResidualBlock, silence

SPECTRAL_KERNEL = 5
"""Channels that a channel's gate looks at: itself and two on either side."""


class ShortRangeAttention(nn.Module):
    """Each pixel attends to the pixels around it, and a gate a channel to the channels around it.

    Args:
        width: Channels.
        heads: Attention heads; divides ``width``.
        window: Side of the neighbourhood in pixels, odd. It slides, so no grid is preferred.
    """

    def __init__(self, width: int, *, heads: int, window: int) -> None:
        super().__init__()
        assert width % heads == 0, f"{heads} heads do not divide {width} channels"
        self.heads, self.window, self.reach = heads, window, window // 2
        self.norm = ChannelNorm(width)
        self.query = nn.Conv2d(width, width, 1)
        self.key_value = nn.Conv2d(width, 2 * width, 1)
        self.position = nn.Parameter(torch.zeros(heads, window * window))
        self.gate = nn.Conv1d(1, 1, SPECTRAL_KERNEL, padding=SPECTRAL_KERNEL // 2)
        self.out = nn.Conv2d(width, width, 1)
        silence(self.out)

    def forward(self, features: Tensor) -> Tensor:
        """Refine ``features`` (B, width, h, w)."""
        batch, width, rows, cols = features.shape
        normal = self.norm(features)
        query = self.query(normal).view(batch, self.heads, -1, 1, rows, cols)
        near = F.unfold(self.key_value(normal), self.window, padding=self.reach)
        key, value = near.view(batch, 2, self.heads, width // self.heads, -1, rows, cols).unbind(
            dim=1
        )
        likeness = (query * key).sum(dim=2) * (width // self.heads) ** -0.5
        share = (likeness + self.position[:, :, None, None]).softmax(dim=2)
        mixed = (share[:, :, None] * value).sum(dim=3).reshape(features.shape)
        refined: Tensor = features + self.out(mixed) * self._spectral(normal)
        return refined

    def _spectral(self, features: Tensor) -> Tensor:
        """A factor between 0 and 1 for each channel of each pixel, from the channels next to it."""
        spectra = features.permute(0, 2, 3, 1)
        flat = spectra.reshape(-1, 1, spectra.shape[-1])
        return self.gate(flat).sigmoid().view(spectra.shape).permute(0, 3, 1, 2)


class LEGANNet(nn.Module):
    """Residual blocks with short-range attention at low resolution, then a sub-pixel convolution a scale.

    Args:
        scales: Factors that the one network enlarges by; each has a stem and a head of its own.
        bands: Bands of the image.
        width: Channels; a multiple of ``heads``.
        blocks: Residual blocks, each followed by attention.
        heads: Attention heads.
        window: Side of the neighbourhood that a pixel attends to.
    """

    def __init__(
        self,
        *,
        scales: tuple[int, ...],
        bands: int = 3,
        width: int = 48,
        blocks: int = 6,
        heads: int = 4,
        window: int = 3,
    ) -> None:
        super().__init__()
        self.stems = nn.ModuleDict({f"x{s}": nn.Conv2d(bands, width, 3, padding=1) for s in scales})
        self.trunk = nn.Sequential()
        for _ in range(blocks):
            self.trunk.append(ResidualBlock(width))
            self.trunk.append(ShortRangeAttention(width, heads=heads, window=window))
        self.neck = nn.Conv2d(width, width, 3, padding=1)
        self.heads = nn.ModuleDict(
            {f"x{s}": nn.Conv2d(width, s * s * bands, 3, padding=1) for s in scales}
        )
        for head in self.heads.values():
            assert isinstance(head, nn.Conv2d)
            silence(head)
            nn.init.normal_(head.weight, std=1e-3)
        self._reach = blocks * (2 + window // 2) + 3

    def reach(self, scale: int) -> int:
        """Pixels of the image around one that what becomes of it depends on, the same for each scale."""
        del scale
        return self._reach

    def forward(self, image: Tensor, scale: int) -> Tensor:
        """What the enlargement of an image (B, C, h, w) in [0, 1] lacks, ``scale`` times finer."""
        features = self.stems[f"x{scale}"](image - 0.5)
        features = features + self.neck(self.trunk(features))
        fine: Tensor = F.pixel_shuffle(self.heads[f"x{scale}"](features), scale)
        return fine
