"""SR3: super-resolution by repeated refinement, arXiv 2104.07636.

A DDPM of the image in [-1, 1] with T = 2000 and betas from 1e-6 to 1e-2; the network sees the noisy image
beside the bicubic enlargement, is told sqrt(alpha-bar), and predicts the noise by its L1 distance. Every
draw walks all 2000 ancestral steps, the clean estimate clipped to [-1, 1].

The small preset diffuses what the enlargement lacks, predicts the velocity, and takes six steps
of DPM-Solver++ 2M, which keep the variance that as many of the paper's own would lose a quarter of.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from ultrares.backbones.diffusion_backbone import DiffusionBackbone
from ultrares.backbones.diffusion_settings import Count, VPSettings
from ultrares.backbones.system import System, both_presets
from ultrares.diffusion.denoiser import Network
from ultrares.nets.sr3_unet import SR3UNet


class SR3Settings(VPSettings):
    """Size and process of SR3; the defaults are the paper's."""

    scales: Annotated[tuple[int, ...], Field(min_length=1)] = (4,)
    betas: tuple[float, float] = (1e-6, 1e-2)
    clock: Count = 2000
    steps: Count = 2000
    eta: Annotated[float, Field(ge=0, le=1)] = 1.0
    width: Annotated[int, Field(ge=8, multiple_of=2)] = 64
    """Channels at full resolution."""
    multipliers: Annotated[tuple[Count, ...], Field(min_length=1)] = (1, 2, 4, 8, 8)
    """Channels at each resolution, in widths."""
    blocks: Count = 2
    """Residual blocks at each resolution."""
    attention: int | None = 3
    """Which resolution attends to itself, besides the coarsest; None for neither."""
    groups: Annotated[int, Field(ge=0)] = 32
    """Groups of the normalisation over whole images; 0 for none."""
    level_gain: float = 1.0
    """Factor on sqrt(alpha-bar) as it is told."""
    fold: Count = 1
    """Side of the squares of pixels that are folded into channels first."""


PAPER = SR3Settings()
SMALL = SR3Settings(
    scales=(2, 4),
    predicts="velocity",
    residual=(0.03, 0.06),
    steps=6,
    sigmas=(3.0, 0.1),
    sampler="dpm++",
    fold=2,
    width=48,
    multipliers=(1, 2),
    blocks=1,
    attention=None,
    groups=0,
    level_gain=100.0,
)


def build(settings: SR3Settings) -> SR3UNet:
    """The network, with fresh weights."""
    return SR3UNet(
        bands=settings.bands,
        width=settings.width,
        multipliers=settings.multipliers,
        blocks=settings.blocks,
        attention=settings.attention,
        groups=settings.groups,
        scales=len(settings.scales),
        fold=settings.fold,
    )


class SR3Backbone(DiffusionBackbone):
    """Shows the network the centred enlargement and sqrt(alpha-bar)."""

    def __init__(
        self, net: nn.Module, settings: SR3Settings, *, name: str, autocast: bool = False
    ) -> None:
        super().__init__(net, settings, name=name, autocast=autocast)
        self.gain = settings.level_gain

    def bind(self, image: Tensor, enlarged: Tensor, scale: int) -> Network:
        """Concatenate the enlargement in [-1, 1] to the state."""
        del image
        condition, sde = 2 * enlarged - 1, self.settings.process(enlarged)

        def predict(noisy: Tensor, times: Tensor) -> Tensor:
            level = self.gain * sde.signal(times).to(noisy)
            return self.net(noisy, condition, level, scale)

        return predict


def backbone(
    net: nn.Module, settings: SR3Settings, *, name: str = "sr3", autocast: bool = False
) -> SR3Backbone:
    """SR3 behind the contract of all backbones."""
    return SR3Backbone(net, settings, name=name, autocast=autocast)


SYSTEM = System(
    kind="sr3",
    title="SR3",
    paper="Saharia et al. 2021, arXiv 2104.07636",
    settings=SR3Settings,
    presets=both_presets(PAPER, SMALL),
    build=build,
    backbone=backbone,
)
