"""CARN-M with its published weights."""

from __future__ import annotations

from pathlib import Path

import torch

from peers.missing import MissingPeerError
from ultrares.nets.carn_m import NATIVE, CarnM

__all__ = ["NATIVE", "CarnM", "load"]


def load(path: Path) -> CarnM:
    """The net with the published weights.

    Raises:
        MissingPeerError: They are not there.
    """
    if not path.exists():
        raise MissingPeerError(f"not here: put the state dict at {path}")
    net = CarnM()
    net.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return net.eval()
