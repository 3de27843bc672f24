"""IR-SDE: image restoration with a mean-reverting SDE, arXiv 2301.11699.

dx = theta_t (mu - x) dt + sigma_t dw with sigma_t^2 = 2 lambda^2 theta_t takes the image in [0, 1] to its
bicubic enlargement mu plus noise of lambda = 30 / 255, in T = 100 steps of the cosine clock. The network sees
x - mu beside mu, is told t, and predicts the noise; it is trained on the most likely earlier state, by L1.
A draw starts at mu + lambda z and walks back by posterior sampling or Euler-Maruyama, 100 steps.

The small preset takes less noise, predicts the velocity, and takes eight steps of DPM-Solver++ 2M, which keep the
variance that as many of posterior sampling lose a third of.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from ultrares.backbones.diffusion_backbone import DiffusionBackbone
from ultrares.backbones.diffusion_settings import Count, MeanRevertingSettings, Positive
from ultrares.backbones.system import System, both_presets
from ultrares.diffusion.denoiser import Network
from ultrares.nets.ir_sde_unet import IRSDEUNet


class IRSDESettings(MeanRevertingSettings):
    """Size and process of IR-SDE; the defaults are the paper's."""

    scales: Annotated[tuple[int, ...], Field(min_length=1)] = (4,)
    lam: Positive = 30 / 255
    steps: Count = 100
    width: Annotated[int, Field(ge=8, multiple_of=2)] = 64
    """Channels at full resolution; they double at each level."""
    depth: Count = 4
    """Levels, all but the last of which halve the resolution."""
    attention: bool = True
    """Whether every level attends to itself, over whole images."""
    fold: Count = 1
    """Side of the squares of pixels that are folded into channels first."""


PAPER = IRSDESettings()
SMALL = IRSDESettings(
    scales=(2, 4),
    lam=12 / 255,
    steps=8,
    predicts="velocity",
    likelihood=False,
    sigmas=(5.0, 0.1),
    sampler="dpm++",
    fold=2,
    width=28,
    depth=2,
    attention=False,
)


def build(settings: IRSDESettings) -> IRSDEUNet:
    """The network, with fresh weights."""
    return IRSDEUNet(
        bands=settings.bands,
        width=settings.width,
        depth=settings.depth,
        attention=settings.attention,
        scales=len(settings.scales),
        fold=settings.fold,
    )


class MeanRevertingBackbone(DiffusionBackbone):
    """Shows a network the residual x - mu, mu, and the time."""

    def bind(self, image: Tensor, enlarged: Tensor, scale: int) -> Network:
        """Give the mean beside what is left of the state without it."""
        del image
        return lambda noisy, times: self.net(noisy - enlarged, enlarged, times, scale)


def backbone(
    net: nn.Module, settings: IRSDESettings, *, name: str = "ir-sde", autocast: bool = False
) -> MeanRevertingBackbone:
    """IR-SDE behind the contract of all backbones."""
    return MeanRevertingBackbone(net, settings, name=name, autocast=autocast)


SYSTEM = System(
    kind="ir-sde",
    title="IR-SDE",
    paper="Luo et al. 2023, arXiv 2301.11699",
    settings=IRSDESettings,
    presets=both_presets(PAPER, SMALL),
    build=build,
    backbone=backbone,
)
