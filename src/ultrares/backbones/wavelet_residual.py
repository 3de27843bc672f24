"""Our own backbone: a bicubic enlargement plus the wavelet bands that a network predicts."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ultrares.nets.wavelet_residual import WaveletResidualNet, context_vector
from ultrares.types import NoiseAt, SizeRule


class WaveletResidualBackbone:
    """Super-resolves by 2 or 4 with a :class:`~ultrares.nets.wavelet_residual.WaveletResidualNet`.

    Args:
        net: The trained network.
        name: How the backbone is called in models and tables.
        autocast: Whether to convolve in bfloat16; sums and the wavelet transform stay in float32.
    """

    size_rule = SizeRule()
    stochastic = False

    def __init__(
        self, net: WaveletResidualNet, *, name: str = "wavelet-residual", autocast: bool = False
    ) -> None:
        self.net = net
        self.name = name
        self.autocast = autocast
        self.scales: tuple[int, ...] = (net.scale,)
        self.bands: int | None = net.bands
        # Two pixels more for the bicubic enlargement's kernel.
        self.halo = net.halo + 2

    def __call__(
        self,
        image: Tensor,
        *,
        scale: int | None = None,
        mtf: float = 0.5,
        depth: int = 0,
        noise: NoiseAt | None = None,
    ) -> Tensor:
        """Return ``image`` (B, C, h, w) in [0, 1] at ``scale`` times its resolution: its own, and no other."""
        del noise
        scale = scale or self.net.scale
        assert scale in self.scales
        context = context_vector(1, mtf=mtf, depth=depth).to(image)
        with torch.autocast(image.device.type, torch.bfloat16, enabled=self.autocast):
            lacking = self.net(image.contiguous(memory_format=torch.channels_last), context)
        enlarged = F.interpolate(image, scale_factor=scale, mode="bicubic", antialias=True)
        return enlarged + lacking
