"""Every system of the papers that a recipe can train and a saved model can hold."""

from __future__ import annotations

from collections.abc import Mapping

from ultrares.backbones import sr3
from ultrares.backbones.system import System, systems_by_kind

SYSTEMS: Mapping[str, System] = systems_by_kind(sr3.SYSTEM)
"""By kind, in the order they are listed in."""
