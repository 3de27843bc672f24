"""Every system of the papers that a recipe can train and a saved model can hold."""

from __future__ import annotations

from collections.abc import Mapping

from ultrares.backbones import esrgan_dp, lar_sr, le_gan, ref_vae, sr3
from ultrares.backbones.system import System, systems_by_kind

SYSTEMS: Mapping[str, System] = systems_by_kind(
    sr3.SYSTEM, esrgan_dp.SYSTEM, le_gan.SYSTEM, ref_vae.SYSTEM, lar_sr.SYSTEM
)
"""By kind, in the order they are listed in."""
