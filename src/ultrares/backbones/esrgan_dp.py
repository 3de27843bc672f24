"""ESRGAN-DP: the generator of ESRGAN, trained with a dual perceptual loss (Song et al., arXiv 2201.06383).

RRDBNet with 23 blocks of width 64 for x4. The method is in the loss: see training/esrgan_dp_loss.py.

The small preset has two blocks, serves x2 and x4, and restores what the bicubic enlargement lacks.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from ultrares.backbones.direct import DirectBackbone
from ultrares.backbones.enlargement import enlarge
from ultrares.backbones.octave_settings import OctaveSettings
from ultrares.backbones.system import System, both_presets
from ultrares.nets.rrdb import RRDBNet
from ultrares.types import NoiseAt

Count = Annotated[int, Field(ge=1)]


class ESRGANDPSettings(OctaveSettings):
    """Size of the generator; the defaults are the paper's."""

    scales: tuple[int, ...] = (4,)
    width: Count = 64
    """Channels of the trunk."""
    growth: Count = 32
    """Channels that each convolution of a dense block adds."""
    blocks: Count = 23
    """Residual-in-residual blocks."""
    residual: bool = False
    """Whether the network restores what the bicubic enlargement lacks, or the image itself."""


PAPER = ESRGANDPSettings()
SMALL = ESRGANDPSettings(scales=(2, 4), width=48, growth=24, blocks=2, residual=True)


def build(settings: ESRGANDPSettings) -> RRDBNet:
    """The generator, with fresh weights."""
    return RRDBNet(
        scales=settings.scales,
        bands=settings.bands,
        width=settings.width,
        growth=settings.growth,
        blocks=settings.blocks,
        residual=settings.residual,
    )


class ESRGANDPBackbone(DirectBackbone):
    """The generator, with the enlargement where it was trained so."""

    def __init__(
        self, net: nn.Module, settings: ESRGANDPSettings, *, name: str, autocast: bool = False
    ) -> None:
        super().__init__(net, settings, name=name, autocast=autocast)
        self.residual = settings.residual

    def restore(self, image: Tensor, scale: int, noise: NoiseAt) -> Tensor:
        """The generator's image; there is nothing to draw."""
        del noise
        with self.convolving(image):
            fine: Tensor = self.net(image, scale)
        return fine.to(image.dtype) + (enlarge(image, scale) if self.residual else 0.5)


def backbone(
    net: nn.Module, settings: ESRGANDPSettings, *, name: str = "esrgan-dp", autocast: bool = False
) -> ESRGANDPBackbone:
    """ESRGAN-DP behind the contract of all backbones."""
    return ESRGANDPBackbone(net, settings, name=name, autocast=autocast)


SYSTEM = System(
    kind="esrgan-dp",
    title="ESRGAN-DP",
    paper="Song et al. 2022, arXiv 2201.06383",
    settings=ESRGANDPSettings,
    presets=both_presets(PAPER, SMALL),
    build=build,
    backbone=backbone,
)
