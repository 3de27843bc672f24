"""TorchScript files: a network with its code, run by torch's interpreter.

That interpreter knows no Python and no imports, but torch does not call it a sandbox: a file is a program,
whose operators may read and write files. So it is run only where a user names the file; see docs/plugins.md.
"""

from __future__ import annotations

import warnings
import zipfile
from pathlib import Path

import torch

from ultrares.backbones.card import Card
from ultrares.backbones.carded import carded
from ultrares.backbones.plugin import Plugin
from ultrares.errors import ModelError


def is_torchscript(path: Path) -> bool:
    """Whether a file is an archive of TorchScript; a state dict's archive holds no code."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def load_torchscript(path: Path, card: Card, *, autocast: bool) -> Plugin:
    """Read a TorchScript network.

    Args:
        path: What ``torch.jit.save`` wrote.
        card: What the file does not tell.
        autocast: Whether to compute in bfloat16.

    Raises:
        ModelError: The file is not TorchScript or is corrupt.
    """
    try:
        with warnings.catch_warnings():
            # torch retires TorchScript for those who write it; files that were written remain.
            warnings.simplefilter("ignore", DeprecationWarning)
            # torch ships no types for it.
            net = torch.jit.load(path, map_location="cpu")  # type: ignore[no-untyped-call]
    except (RuntimeError, ValueError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise ModelError(f"model file {path} is no readable TorchScript: {reason}") from error
    return Plugin(carded(net, card, path, autocast=autocast), "TorchScript")
