"""EDiffSR: an efficient diffusion model for remote sensing images, arXiv 2310.19288.

The mean-reverting SDE of IR-SDE with lambda = 50 / 255 and T = 100, walked back by posterior sampling; the
network is activation-free, with channel attention, and a block that enhances the conditional prior.

The small preset takes less noise and eight steps of DPM-Solver++ 2M, predicts the velocity, and attends to pixels, not images.
"""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator
from torch import nn

from ultrares.backbones.diffusion_settings import Count, MeanRevertingSettings, Positive
from ultrares.backbones.ir_sde import MeanRevertingBackbone
from ultrares.backbones.system import System, both_presets
from ultrares.nets.conditional_naf import ConditionalNAF


class EDiffSRSettings(MeanRevertingSettings):
    """Size and process of EDiffSR; the defaults are the paper's."""

    scales: Annotated[tuple[int, ...], Field(min_length=1)] = (4,)
    lam: Positive = 50 / 255
    steps: Count = 100
    width: Annotated[int, Field(ge=8, multiple_of=2)] = 64
    """Channels at full resolution; they double with each halving."""
    down: Annotated[tuple[Count, ...], Field(min_length=1)] = (14, 1, 1, 1)
    """Blocks at each resolution on the way down."""
    middle: Count = 1
    """Blocks at the coarsest resolution."""
    up: Annotated[tuple[Count, ...], Field(min_length=1)] = (1, 1, 1, 1)
    """Blocks at each resolution on the way up, coarsest first."""
    local: bool = False
    """Whether channel attention looks at each pixel instead of the whole image."""
    fold: Count = 1
    """Side of the squares of pixels that are folded into channels first."""

    @model_validator(mode="after")
    def _goes_up_as_it_came_down(self) -> Self:
        if len(self.down) != len(self.up):
            raise ValueError(
                f"down lists {len(self.down)} resolutions, but up lists {len(self.up)}"
            )
        return self


PAPER = EDiffSRSettings()
SMALL = EDiffSRSettings(
    scales=(2, 4),
    lam=12 / 255,
    steps=8,
    predicts="velocity",
    likelihood=False,
    sigmas=(5.0, 0.1),
    sampler="dpm++",
    fold=2,
    width=40,
    down=(4, 3),
    middle=2,
    up=(2, 2),
    local=True,
)


def build(settings: EDiffSRSettings) -> ConditionalNAF:
    """The network, with fresh weights."""
    return ConditionalNAF(
        bands=settings.bands,
        width=settings.width,
        down=settings.down,
        middle=settings.middle,
        up=settings.up,
        local=settings.local,
        scales=len(settings.scales),
        fold=settings.fold,
    )


def backbone(
    net: nn.Module, settings: EDiffSRSettings, *, name: str = "ediffsr", autocast: bool = False
) -> MeanRevertingBackbone:
    """EDiffSR behind the contract of all backbones."""
    return MeanRevertingBackbone(net, settings, name=name, autocast=autocast)


SYSTEM = System(
    kind="ediffsr",
    title="EDiffSR",
    paper="Xiao et al. 2023, arXiv 2310.19288",
    settings=EDiffSRSettings,
    presets=both_presets(PAPER, SMALL),
    build=build,
    backbone=backbone,
)
