"""LAR-SR: codes of the missing texture, drawn block by block around a frozen super-resolver's image.

Guo et al., CVPR 2022; the WaveDiffUR papers call it LSR-SR. A VQ-VAE codes what the truth has beyond the
super-resolved image, a code for 2 x 2 pixels; a local autoregression draws the sixteen codes of each block
of 4 x 4 one after the other, all blocks at once; codes less likely than 0.05 are not drawn.

A code's number comes from the noise at its place, so that overlapping tiles draw the same codes.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from ultrares.backbones.direct import DirectBackbone
from ultrares.backbones.octave_settings import OctaveSettings
from ultrares.backbones.system import System, both_presets
from ultrares.nets.lar_sr import STRIDE, LARSRNet
from ultrares.nets.local_autoregression import BLOCK
from ultrares.nets.rrdb import RRDBNet
from ultrares.types import NoiseAt

Count = Annotated[int, Field(ge=1)]


class LARSRSettings(OctaveSettings):
    """Sizes of the three parts; the defaults are the paper's, its number of residual blocks is ours."""

    scales: tuple[int, ...] = (4,)
    sr_width: Count = 64
    """Channels of the super-resolver's trunk."""
    sr_growth: Count = 32
    """Channels that each convolution of its dense blocks adds."""
    sr_blocks: Count = 23
    """Its residual-in-residual blocks."""
    width: Count = 128
    """Channels of the VQ-VAE."""
    embedded: Count = 64
    """Components of a code's vector."""
    codes: Annotated[int, Field(ge=2)] = 1024
    """Number of codes."""
    blocks: Count = 4
    """Residual blocks in each part of the VQ-VAE."""
    order_width: Count = 64
    """Channels of the autoregression."""
    order_layers: Count = 10
    """Its gated layers."""
    threshold: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """Codes less likely than this are not drawn."""


PAPER = LARSRSettings()
SMALL = LARSRSettings(
    scales=(2, 4),
    sr_width=32,
    sr_growth=16,
    sr_blocks=2,
    width=48,
    embedded=16,
    codes=128,
    blocks=2,
    order_width=32,
    order_layers=4,
    # With 128 codes a share of 0.05 is already a confident one.
    threshold=0.01,
)


def build(settings: LARSRSettings) -> LARSRNet:
    """The network of all three parts, with fresh weights."""
    sr = RRDBNet(
        scales=settings.scales,
        bands=settings.bands,
        width=settings.sr_width,
        growth=settings.sr_growth,
        blocks=settings.sr_blocks,
        residual=True,
    )
    return LARSRNet(
        sr,
        bands=settings.bands,
        width=settings.width,
        embedded=settings.embedded,
        codes=settings.codes,
        blocks=settings.blocks,
        order=(settings.order_width, settings.order_layers),
    )


class LARSRBackbone(DirectBackbone):
    """Super-resolves, then draws the codes of the texture."""

    block = STRIDE * BLOCK

    def __init__(
        self, net: nn.Module, settings: LARSRSettings, *, name: str, autocast: bool = False
    ) -> None:
        super().__init__(net, settings, name=name, autocast=autocast)
        self.threshold = settings.threshold

    @property
    def stochastic(self) -> bool:
        """It always draws."""
        return True

    def restore(self, image: Tensor, scale: int, noise: NoiseAt) -> Tensor:
        """A draw around the super-resolved image."""
        uniform = torch.special.ndtr(noise(0, 1, scale // STRIDE))
        with self.convolving(image):
            fine = self.net.super_resolve(image, scale)
            drawn: Tensor = self.net.draw(fine, uniform, self.threshold)
        return drawn.to(image.dtype)


def backbone(
    net: nn.Module, settings: LARSRSettings, *, name: str = "lar-sr", autocast: bool = False
) -> LARSRBackbone:
    """LAR-SR behind the contract of all backbones."""
    return LARSRBackbone(net, settings, name=name, autocast=autocast)


SYSTEM = System(
    kind="lar-sr",
    title="LAR-SR",
    paper="Guo et al., CVPR 2022 (the papers' LSR-SR)",
    settings=LARSRSettings,
    presets=both_presets(PAPER, SMALL),
    build=build,
    backbone=backbone,
)
