"""Every system of the papers that a recipe can train and a saved model can hold."""

from __future__ import annotations

from collections.abc import Mapping

from ultrares.backbones import (
    ediffsr,
    esrgan_dp,
    ir_sde,
    lar_sr,
    le_gan,
    lwtdm,
    ref_vae,
    sr3,
)
from ultrares.backbones.system import System, systems_by_kind

SYSTEMS: Mapping[str, System] = systems_by_kind(
    sr3.SYSTEM,
    ir_sde.SYSTEM,
    ediffsr.SYSTEM,
    lwtdm.SYSTEM,
    esrgan_dp.SYSTEM,
    le_gan.SYSTEM,
    ref_vae.SYSTEM,
    lar_sr.SYSTEM,
)
"""By kind, in the order they are listed in."""
