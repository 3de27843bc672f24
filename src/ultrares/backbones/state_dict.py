"""State dicts of published architectures, recognised by their keys and shapes (spandrel)."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from ultrares.backbones.card import StateCard
from ultrares.backbones.plugin import Plugin, needed
from ultrares.backbones.wrap import Backbone
from ultrares.errors import ModelError
from ultrares.types import SizeRule


def load_state_dict(path: Path, card: StateCard, *, autocast: bool) -> Plugin:
    """Recognise the architecture of a file's weights and fill it.

    Scale, bands and size rule are the architecture's own; the card adds the halo, which no file tells.

    Args:
        path: ``.safetensors``, or a pickle of tensors and nothing else (``.pth``, ``.pt``, ``.ckpt``).
        card: What its owner says.
        autocast: Whether to compute in bfloat16, where the architecture bears it.

    Raises:
        ModelError: The file is unreadable, unsafe, of no known architecture, or contradicts its card.
        MissingExtraError: spandrel is not installed.
    """
    spandrel = needed("spandrel", path)
    state = spandrel.canonicalize_state_dict(read_tensors(path))
    found = _recognised(spandrel, state, path)
    _check(found, card, path)
    size = found.size_requirements
    backbone = Backbone.wrap(
        found,
        scales=(found.scale,),
        bands=found.input_channels,
        halo=card.halo,
        local=card.local,
        size_rule=SizeRule(max(size.minimum, 1), size.multiple_of),
        name=card.name or path.stem,
        licence=card.licence,
        trained_on=card.trained_on,
        autocast=autocast and found.supports_bfloat16,
    )
    return Plugin(backbone, f"state dict of {found.architecture.name}")


def read_tensors(path: Path) -> dict[str, Any]:
    """Read the tensors of a file; code in it is never run.

    Raises:
        ModelError: The file cannot be read, holds code, or something else than named tensors.
    """
    try:
        if path.suffix.lower() == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"model file {path} is no plain state dict: it asks to run code or to make objects, which is "
            "refused; save only net.state_dict(), best as .safetensors"
        ) from error
    except OSError as error:
        raise ModelError(f"model file {path} cannot be read: {error.strerror or error}") from error
    except (SafetensorError, RuntimeError, EOFError, ValueError) as error:
        raise ModelError(f"model file {path} is corrupt: {_line(error)}") from error
    if not isinstance(state, dict):
        raise ModelError(
            f"model file {path} holds a {type(state).__name__}, not the state dict of a network"
        )
    return state


def _recognised(spandrel: Any, state: dict[str, Any], path: Path) -> Any:
    """The network that spandrel makes of named tensors."""
    try:
        with warnings.catch_warnings():
            # What architectures' authors should change in their code is no news to users.
            warnings.simplefilter("ignore")
            return spandrel.ModelLoader("cpu").load_from_state_dict(state).eval()
    except spandrel.UnsupportedModelError as error:
        raise ModelError(
            f"model file {path} is of no architecture that spandrel {spandrel.__version__} knows; export it "
            "to ONNX or TorchScript with a card, or wrap its module (docs/plugins.md)"
        ) from error
    except Exception as error:
        # Forty architectures fail in ways of their own.
        raise ModelError(
            f"model file {path} does not fill the architecture that it looks like: {_line(error)}"
        ) from error


def _check(found: Any, card: StateCard, path: Path) -> None:
    """Refuse networks that are no super-resolvers, and cards that contradict the file.

    Raises:
        ModelError: One of these.
    """
    what = f"model file {path} ({found.architecture.name})"
    if found.purpose != "SR" or found.scale < 2:
        raise ModelError(
            f"{what} is made for {found.purpose} at x{found.scale}, and not to enlarge any image"
        )
    if found.input_channels != found.output_channels:
        raise ModelError(
            f"{what} makes {found.output_channels} bands of {found.input_channels}; "
            "a backbone keeps their number"
        )
    for key, told, true in (
        ("scale", card.scale, found.scale),
        ("bands", card.bands, found.input_channels),
    ):
        if told not in (None, true):
            raise ModelError(
                f"{what}: its card says {key} = {told}, but its weights are for {true}"
            )


def _line(error: Exception) -> str:
    """The last line of an error, where torch puts the first thing that is wrong."""
    return (str(error).strip() or type(error).__name__).splitlines()[-1].strip()
