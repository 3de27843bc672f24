"""Which loss each of the papers' systems is trained by."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from torch import Tensor, nn

from ultrares.data.scale_pairs import ScalePair
from ultrares.training.diffusion_systems import diffusion_objective
from ultrares.training.esrgan_dp_loss import ESRGANDPObjective
from ultrares.training.lar_sr_loss import lar_sr_objective
from ultrares.training.le_gan_loss import LEGANObjective
from ultrares.training.ref_vae_loss import RefVAEObjective, prepare_encoder
from ultrares.training.stages import SystemStage
from ultrares.types import Backbone

Objective = Callable[[Backbone, ScalePair, np.random.Generator], tuple[Tensor, dict[str, float]]]
"""The loss of one batch of pairs, given the backbone in training, and figures worth logging.

One that is a companion has weights of its own, which are fitted to the same loss."""

LOSSES: Mapping[str, Callable[[SystemStage], Objective]] = {
    "sr3": diffusion_objective,
    "ir-sde": diffusion_objective,
    "ediffsr": diffusion_objective,
    "lwtdm": diffusion_objective,
    "esrgan-dp": ESRGANDPObjective,
    "le-gan": LEGANObjective,
    "ref-vae": RefVAEObjective,
    "lar-sr": lar_sr_objective,
}
"""By kind of system: what makes its objective for a recipe's stage."""

PREPARED: Mapping[str, Callable[[nn.Module, SystemStage], None]] = {"ref-vae": prepare_encoder}
"""By kind of system: what is done to a fresh network before it is trained, where there is anything."""
