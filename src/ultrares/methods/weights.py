"""A model's folder: config.json, model.safetensors and a model card; never a pickle."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from pydantic import BaseModel, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn
from torch.overrides import TorchFunctionMode

from ultrares.errors import ModelError

Net = TypeVar("Net", bound=nn.Module)
Described = TypeVar("Described", bound=BaseModel)

CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"


def read_config(folder: Path, kind: type[Described]) -> Described:
    """Read and check a model's config.json.

    Raises:
        ModelError: The file is missing or not a valid manifest.
    """
    try:
        return kind.model_validate_json((folder / CONFIG).read_text())
    except OSError as error:
        raise ModelError(
            f"model folder {folder} has no readable {CONFIG}: {error.strerror}"
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "its text"
        raise ModelError(
            f"model folder {folder}: {CONFIG} is not valid at {where}: {first['msg']}"
        ) from error


def write_folder(
    folder: Path,
    manifest: Described,
    nets: Sequence[Mapping[str, nn.Module]],
    *,
    card: str,
    metadata: dict[str, str] | None = None,
) -> Described:
    """Write a model folder, weights in half precision.

    Args:
        folder: Created if needed; existing files are replaced.
        manifest: Description, with fields ``parameters`` and ``sha256`` that are filled in here.
        nets: The networks of each weight set by their role.
        card: The model card, Markdown.
        metadata: What the weights remember.
    """
    state: dict[str, torch.Tensor] = {}
    for level, roles in enumerate(nets):
        for role, net in roles.items():
            for key, value in net.state_dict().items():
                state[f"{level}.{role}.{key}"] = value.to(torch.float16).contiguous()
    folder.mkdir(parents=True, exist_ok=True)
    save_file(state, folder / WEIGHTS, metadata=metadata)
    # safetensors creates it for its owner only, but a package is read by everybody.
    (folder / WEIGHTS).chmod(0o644)
    manifest = manifest.model_copy(
        update={
            "parameters": sum(
                p.numel() for roles in nets for net in roles.values() for p in net.parameters()
            ),
            "sha256": _sha256(folder / WEIGHTS),
        }
    )
    (folder / CONFIG).write_text(json.dumps(manifest.model_dump(), indent=2) + "\n")
    (folder / CARD).write_text(card)
    return manifest


def verify_checksum(folder: Path, sha256: str | None) -> None:
    """Compare a folder's weights with the checksum that its manifest gives.

    Raises:
        ModelError: The weights are missing or not the ones that were saved.
    """
    path = folder / WEIGHTS
    try:
        found = _sha256(path)
    except OSError as error:
        raise ModelError(f"weights {path} cannot be read: {error.strerror}") from error
    if found != sha256:
        raise ModelError(
            f"weights {path} are corrupt: their sha256 starts with {found[:12]}, but {CONFIG} says "
            f"{(sha256 or 'nothing')[:12]}; install or download the model again"
        )


def load_weights(folder: Path, sha256: str | None) -> dict[str, torch.Tensor]:
    """A folder's weights, checked.

    Raises:
        ModelError: They are missing, corrupt, or no safetensors file.
    """
    verify_checksum(folder, sha256)
    try:
        return load_file(folder / WEIGHTS)
    except SafetensorError as error:
        raise ModelError(f"weights {folder / WEIGHTS} are no safetensors file: {error}") from error


def weights_of(state: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    """The weights below a prefix, by their names in the network, in single precision."""
    return {
        key.removeprefix(prefix): value.float()
        for key, value in state.items()
        if key.startswith(prefix)
    }


class _NothingDrawn(TorchFunctionMode):
    """Leaves the initial weights of what is built in this thread undrawn."""

    def __torch_function__(
        self, func: Callable[..., Any], _types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__module__", "") == nn.init.__name__:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


def filled(
    build: Callable[[], Net], state: Mapping[str, torch.Tensor], prefix: str, folder: Path
) -> Net:
    """Build a network, load the weights below a prefix into it, and make it ready to use.

    Raises:
        ModelError: They do not fit.
    """
    # All weights are replaced, and random ones take longer than to read these.
    with _NothingDrawn():
        net = build()
    try:
        net.load_state_dict(weights_of(state, prefix))
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise ModelError(
            f"model folder {folder}: weights do not fit the config: {reason}"
        ) from error
    net.eval().requires_grad_(requires_grad=False)
    # torch's own annotations leave memory_format out of Module.to.
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return net


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
