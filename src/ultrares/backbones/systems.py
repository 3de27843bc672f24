"""Every system of the papers that a recipe can train and a saved model can hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module

from ultrares.backbones.system import System

MODULES = {
    "sr3": "sr3",
    "ir-sde": "ir_sde",
    "ediffsr": "ediffsr",
    "lwtdm": "lwtdm",
    "esrgan-dp": "esrgan_dp",
    "le-gan": "le_gan",
    "ref-vae": "ref_vae",
    "lar-sr": "lar_sr",
}
"""By kind, in the order they are listed in."""


class Systems(Mapping[str, System]):
    """The systems by kind. Each is imported when it is asked for: a command makes use of one at most."""

    def __getitem__(self, kind: str) -> System:
        """The system of a kind."""
        system = import_module(f"ultrares.backbones.{MODULES[kind]}").SYSTEM
        assert isinstance(system, System)
        assert system.kind == kind, f"{MODULES[kind]} is {system.kind}, not {kind}"
        return system

    def __contains__(self, kind: object) -> bool:
        """Whether there is such a kind."""
        return kind in MODULES

    def __iter__(self) -> Iterator[str]:
        """The kinds."""
        return iter(MODULES)

    def __len__(self) -> int:
        """How many there are."""
        return len(MODULES)


SYSTEMS: Mapping[str, System] = Systems()
