"""The losses of SR3, LWTDM, IR-SDE and EDiffSR: denoising, each in the form of its paper."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ultrares.backbones.diffusion_backbone import DiffusionBackbone
from ultrares.backbones.diffusion_settings import MeanRevertingSettings, VPSettings
from ultrares.data.scale_pairs import ScalePair
from ultrares.diffusion import SDE, denoising_loss, ir_sde_loss, lognormal_sigmas
from ultrares.training.stages import SystemStage
from ultrares.types import Backbone

Figures = dict[str, float]


def diffusion_objective(
    stage: SystemStage,
) -> Callable[[Backbone, ScalePair, np.random.Generator], tuple[Tensor, Figures]]:
    """The objective of any diffusion system; what differs is in its settings."""
    del stage

    def objective(
        backbone: Backbone, pair: ScalePair, rng: np.random.Generator
    ) -> tuple[Tensor, Figures]:
        assert isinstance(backbone, DiffusionBackbone)
        value = diffusion_loss(backbone, pair, rng)
        return value, {f"loss, x{pair.scale}": value.item()}

    return objective


def diffusion_loss(
    backbone: DiffusionBackbone, pair: ScalePair, rng: np.random.Generator
) -> Tensor:
    """The loss of one batch, at one time per sample.

    The L1 distance of the predicted noise (SR3, LWTDM), or of the means of the state one step earlier
    (IR-SDE, EDiffSR); where the settings say so, the squared error of what is predicted instead.

    Args:
        backbone: Holds the network in training.
        pair: Images and their truths.
        rng: Where times and noise come from.

    Raises:
        ModelError: The crops do not fit the network.
    """
    backbone.check(pair.image, pair.scale)
    settings = backbone.settings
    enlarged = backbone.enlarge(pair.image, pair.scale)
    clean = settings.encode(pair.target, enlarged, pair.scale)
    network = backbone.network(pair.image, enlarged, pair.scale)
    sde = settings.process(enlarged)
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    times = draw_times(settings, sde, len(clean), generator).to(clean.device)
    normal = torch.randn(clean.shape, generator=generator).to(clean)
    if isinstance(settings, MeanRevertingSettings) and settings.likelihood:
        return ir_sde_loss(network, clean, times, normal, sde, settings.prediction)
    # The mean is what few steps need, the median of the papers' noise is not.
    error = F.l1_loss if settings.predicts == "noise" else F.mse_loss
    return denoising_loss(network, clean, times, normal, sde, settings.prediction, error=error)


def draw_times(
    settings: VPSettings | MeanRevertingSettings, sde: SDE, count: int, generator: torch.Generator
) -> Tensor:
    """Times (count,) where the sampler will be: over the whole clock, or around some ratios of noise."""
    if settings.sigmas is not None:
        return sde.time(sde.lam * lognormal_sigmas(count, generator))
    return stratified_times(count, settings.clock, generator)


def stratified_times(count: int, clock: int, generator: torch.Generator) -> Tensor:
    """Whole times from 1 to ``clock``, one from each of ``count`` equal parts, in random order, (count,)."""
    jitter = torch.rand(count, generator=generator)
    strata = torch.randperm(count, generator=generator)
    return 1 + torch.floor((strata + jitter) / count * clock).clamp(max=clock - 1)
