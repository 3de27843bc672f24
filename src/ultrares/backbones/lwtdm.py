"""LWTDM: lightweight diffusion for remote sensing images (An et al. 2023, IEEE GRSL 21).

A DDPM of the image in [-1, 1] with T = 2000 and betas from 5e-4 to 2e-2; a Siamese network folds the noisy
and the coarse image with the same weights and lets them meet by cross-attention, is told the discrete t, and
predicts the noise by its L1 distance. A draw follows DDIM with eta = 0, the clean estimate clipped to [-1, 1]
and the noise derived from it again. The paper's scale is 8, its steps are few; 50 is our reading.

The small preset diffuses what the enlargement lacks, predicts the velocity, takes six steps of
DPM-Solver++ 2M, and its attention looks at three by three coarse neighbours.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn

from ultrares.backbones.diffusion_backbone import DiffusionBackbone
from ultrares.backbones.diffusion_settings import Count, VPSettings
from ultrares.backbones.enlargement import ENLARGEMENT_REACH
from ultrares.backbones.system import System, both_presets
from ultrares.diffusion.denoiser import Network
from ultrares.nets.lwtdm_net import FOLD, LWTDMNet
from ultrares.nets.span import Span
from ultrares.types import SizeRule


class LWTDMSettings(VPSettings):
    """Size and process of LWTDM; the defaults are the paper's."""

    scales: Annotated[tuple[int, ...], Field(min_length=1)] = (8,)
    betas: tuple[float, float] = (5e-4, 2e-2)
    clock: Count = 2000
    steps: Count = 50
    eta: Annotated[float, Field(ge=0, le=1)] = 0.0
    width: Annotated[int, Field(ge=4)] = 24
    """Channels at full resolution; 16 times as many in the middle."""
    groups: Annotated[int, Field(ge=0)] = 8
    """Groups of the normalisation over whole images; 0 for none."""
    neighbours: Literal[1, 3, 5, 7] | None = None
    """Side of the square of folded coarse pixels that attention looks at; None for all of them."""


PAPER = LWTDMSettings()
SMALL = LWTDMSettings(
    scales=(2, 4),
    predicts="velocity",
    residual=(0.03, 0.06),
    steps=6,
    sigmas=(3.0, 0.1),
    sampler="dpm++",
    width=9,
    groups=0,
    neighbours=3,
)


def build(settings: LWTDMSettings) -> LWTDMNet:
    """The network, with fresh weights."""
    return LWTDMNet(
        bands=settings.bands,
        width=settings.width,
        groups=settings.groups,
        neighbours=settings.neighbours,
        scales=len(settings.scales),
    )


class LWTDMBackbone(DiffusionBackbone):
    """Shows the network the coarse image itself, and the time."""

    @property
    def size_rule(self) -> SizeRule:
        """Whole folds of the coarse image."""
        return SizeRule(minimum=FOLD, multiple_of=FOLD)

    def seen(self, span: Span, scale: int) -> Span:
        """What the state, its enlargement and the Siamese trunk read."""
        coarse = self.net.reads_coarse(span, scale)
        # With residuals, the enlargement of the last call's own pixels is added.
        enlarged = span.before_shuffle(scale).read(kernel=2 * ENLARGEMENT_REACH + 1)
        return coarse.around(enlarged)

    def bind(self, image: Tensor, enlarged: Tensor, scale: int) -> Network:
        """Give the coarse image in [-1, 1]."""
        del enlarged
        coarse = 2 * image - 1
        return lambda noisy, times: self.net(noisy, coarse, times, scale)


def backbone(
    net: nn.Module, settings: LWTDMSettings, *, name: str = "lwtdm", autocast: bool = False
) -> LWTDMBackbone:
    """LWTDM behind the contract of all backbones."""
    return LWTDMBackbone(net, settings, name=name, autocast=autocast)


SYSTEM = System(
    kind="lwtdm",
    title="LWTDM",
    paper="An et al. 2023, IEEE GRSL 21",
    settings=LWTDMSettings,
    presets=both_presets(PAPER, SMALL),
    build=build,
    backbone=backbone,
)
