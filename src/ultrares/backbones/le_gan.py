"""LE-GAN in our reading: short-range attention, trained with a latent encoder (Shi et al. 2021).

The paper's details are not available to us. What is known: a GAN for hyperspectral images whose generator
attends to a short range in space and spectrum, and a latent encoder that maps generated and real images
to one latent space, whose distance couples the two against mode collapse. All sizes, the form of the
attention and the weights of the losses are ours; tables must not call this the paper's LE-GAN.
"""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator
from torch import Tensor, nn

from ultrares.backbones.direct import DirectBackbone
from ultrares.backbones.enlargement import enlarge
from ultrares.backbones.system import System, SystemSettings, both_presets
from ultrares.nets.le_gan import LEGANNet
from ultrares.types import NoiseAt

Count = Annotated[int, Field(ge=1)]


class LEGANSettings(SystemSettings):
    """Size of the generator; the defaults are those of the large preset, which is ours too."""

    scales: tuple[int, ...] = (4,)
    width: Count = 128
    """Channels; a multiple of the heads."""
    blocks: Count = 16
    """Residual blocks, each followed by attention."""
    heads: Count = 8
    """Attention heads."""
    window: Count = 5
    """Side of the neighbourhood that a pixel attends to, odd."""

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"width is {self.width}, no multiple of {self.heads} heads")
        if self.window % 2 == 0:
            raise ValueError(
                f"window is {self.window}, but a pixel stands in the middle of odd ones"
            )
        return self


PAPER = LEGANSettings()
SMALL = LEGANSettings(scales=(2, 4), width=48, blocks=6, heads=4, window=3)


def build(settings: LEGANSettings) -> LEGANNet:
    """The generator, with fresh weights."""
    return LEGANNet(
        scales=settings.scales,
        bands=settings.bands,
        width=settings.width,
        blocks=settings.blocks,
        heads=settings.heads,
        window=settings.window,
    )


class LEGANBackbone(DirectBackbone):
    """The generator's detail on the bicubic enlargement."""

    def restore(self, image: Tensor, scale: int, noise: NoiseAt) -> Tensor:
        """The enlargement and what it lacks; there is nothing to draw."""
        del noise
        with self.convolving(image):
            lacking: Tensor = self.net(image, scale)
        return enlarge(image, scale) + lacking.to(image.dtype)


def backbone(
    net: nn.Module, settings: LEGANSettings, *, name: str = "le-gan", autocast: bool = False
) -> LEGANBackbone:
    """LE-GAN, as we read it, behind the contract of all backbones."""
    return LEGANBackbone(net, settings, name=name, autocast=autocast)


SYSTEM = System(
    kind="le-gan",
    title="LE-GAN (our reading)",
    paper="after Shi et al. 2021, of which only the abstract was available: our reading",
    settings=LEGANSettings,
    presets=both_presets(PAPER, SMALL),
    build=build,
    backbone=backbone,
)
