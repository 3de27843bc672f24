"""A model on disk: a folder with config.json, model.safetensors and a model card; never a pickle."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from ultrares.backbones.bicubic import BicubicBackbone
from ultrares.backbones.wavelet_residual import WaveletResidualBackbone
from ultrares.errors import ModelError
from ultrares.methods.band_prior import BandPrior
from ultrares.methods.residual_bands import ResidualBands
from ultrares.methods.wavediffur import WaveDiffUR
from ultrares.nets.denoiser_unet import DenoiserUNet
from ultrares.nets.wavelet_residual import WaveletResidualNet
from ultrares.types import Backbone

Net = TypeVar("Net", bound=nn.Module)

CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class BackboneConfig(_Section):
    """Which super-resolver, and its size."""

    kind: Literal["wavelet-residual", "bicubic"]
    width: Annotated[int, Field(ge=1)] = 64
    blocks: Annotated[int, Field(ge=1)] = 16


class DenoiserConfig(_Section):
    """The size of the denoiser, the scale of what it denoises, and how it is best sampled."""

    width: Annotated[int, Field(ge=1)]
    blocks: tuple[int, int, int]
    stds: tuple[float, float, float, float]
    sigma_start: float = 3.0
    sigma_end: float = 0.1
    eta: float = 0.7
    steps: int = 4


class Manifest(_Section):
    """Everything about a saved model except its numbers.

    ``levels`` counts the weight sets: 1 is shared by all levels of a cascade (``reuse``), more belong to
    one level each, the last to all that follow (``progressive``).
    """

    format: Literal[1] = 1
    name: str
    method: Literal["wavediffur"] = "wavediffur"
    levels: Annotated[int, Field(ge=1, le=7)] = 1
    backbone: BackboneConfig
    denoiser: DenoiserConfig | None = None
    licence: str
    trained_on: str
    recipe: str | None = None
    parameters: int = 0
    sha256: str | None = None


@dataclass(frozen=True)
class SavedModel:
    """A manifest and the solvers that its weights make, one per weight set."""

    manifest: Manifest
    solvers: tuple[WaveDiffUR, ...]


def build_backbone(config: BackboneConfig) -> nn.Module | None:
    """The network of a backbone, with fresh weights; None if it has none."""
    if config.kind == "bicubic":
        return None
    return WaveletResidualNet(width=config.width, blocks=config.blocks)


def build_denoiser(config: DenoiserConfig) -> DenoiserUNet:
    """The denoising network, with fresh weights."""
    return DenoiserUNet(width=config.width, blocks=config.blocks)


def read_manifest(folder: Path) -> Manifest:
    """Read and check a model's config.json.

    Raises:
        ModelError: The file is missing or not a valid manifest.
    """
    path = folder / CONFIG
    try:
        return Manifest.model_validate_json(path.read_text())
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


def save_model(
    folder: Path,
    manifest: Manifest,
    nets: Sequence[tuple[nn.Module | None, nn.Module | None]],
    *,
    card: str,
) -> Manifest:
    """Write a model folder, weights in half precision.

    Args:
        folder: Created if needed; existing files are replaced.
        manifest: Description; counts and checksum are filled in here.
        nets: Backbone and denoiser networks, one pair per weight set.
        card: The model card, Markdown.
    """
    state: dict[str, torch.Tensor] = {}
    for level, pair in enumerate(nets):
        for role, net in zip(("backbone", "denoiser"), pair, strict=True):
            for key, value in (net.state_dict() if net else {}).items():
                state[f"{level}.{role}.{key}"] = value.to(torch.float16).contiguous()
    folder.mkdir(parents=True, exist_ok=True)
    save_file(state, folder / WEIGHTS)
    # safetensors creates it for its owner only, but a package is read by everybody.
    (folder / WEIGHTS).chmod(0o644)
    manifest = manifest.model_copy(
        update={
            "levels": len(nets),
            "parameters": sum(
                p.numel() for pair in nets for n in pair if n for p in n.parameters()
            ),
            "sha256": _sha256(folder / WEIGHTS),
        }
    )
    (folder / CONFIG).write_text(json.dumps(manifest.model_dump(), indent=2) + "\n")
    (folder / CARD).write_text(card)
    return manifest


def load_model(folder: Path, *, autocast: bool, device: str = "cpu") -> SavedModel:
    """Read a model folder and build its solvers.

    Raises:
        ModelError: A file is missing, or the weights do not match the manifest.
    """
    manifest = read_manifest(folder)
    state = _read_weights(folder, manifest)
    solvers = [
        WaveDiffUR(
            _load_backbone(manifest, state, level, folder, device, autocast=autocast),
            _load_prior(manifest, state, level, folder, device, autocast=autocast),
            device=device,
        )
        for level in range(manifest.levels)
    ]
    return SavedModel(manifest, tuple(solvers))


def verify_checksum(folder: Path, manifest: Manifest) -> None:
    """Compare the weights with the checksum in the manifest.

    Raises:
        ModelError: The weights are missing or not the ones that were saved.
    """
    path = folder / WEIGHTS
    try:
        found = _sha256(path)
    except OSError as error:
        raise ModelError(f"weights {path} cannot be read: {error.strerror}") from error
    if found != manifest.sha256:
        raise ModelError(
            f"weights {path} are corrupt: their sha256 starts with {found[:12]}, but {CONFIG} says "
            f"{(manifest.sha256 or 'nothing')[:12]}; install or download the model again"
        )


def read_weights(
    folder: Path, manifest: Manifest, role: Literal["backbone", "denoiser"], *, level: int = 0
) -> dict[str, torch.Tensor]:
    """The weights of one network of a model in single precision, to train on; none if it has none.

    Args:
        folder: The model's folder.
        manifest: Its manifest.
        role: Which of its networks.
        level: Which of its weight sets.

    Raises:
        ModelError: The weights are missing or corrupt.
    """
    prefix = f"{level}.{role}."
    state = _read_weights(folder, manifest)
    return {
        key.removeprefix(prefix): value.float()
        for key, value in state.items()
        if key.startswith(prefix)
    }


def _read_weights(folder: Path, manifest: Manifest) -> dict[str, torch.Tensor]:
    if manifest.sha256 is None and manifest.backbone.kind == "bicubic":
        return {}
    verify_checksum(folder, manifest)
    try:
        return load_file(folder / WEIGHTS)
    except SafetensorError as error:
        raise ModelError(f"weights {folder / WEIGHTS} are no safetensors file: {error}") from error


def _load_backbone(
    manifest: Manifest,
    state: dict[str, torch.Tensor],
    level: int,
    folder: Path,
    device: str,
    *,
    autocast: bool,
) -> Backbone:
    net = build_backbone(manifest.backbone)
    if net is None:
        return BicubicBackbone()
    assert isinstance(net, WaveletResidualNet)
    _fill(net, state, f"{level}.backbone.", folder)
    return WaveletResidualBackbone(_ready(net, device), name=manifest.name, autocast=autocast)


def _load_prior(
    manifest: Manifest,
    state: dict[str, torch.Tensor],
    level: int,
    folder: Path,
    device: str,
    *,
    autocast: bool,
) -> BandPrior | None:
    config = manifest.denoiser
    if config is None:
        return None
    net = build_denoiser(config)
    _fill(net, state, f"{level}.denoiser.", folder)
    return BandPrior(
        _ready(net, device),
        ResidualBands(config.stds),
        sigma_start=config.sigma_start,
        sigma_end=config.sigma_end,
        eta=config.eta,
        steps=config.steps,
        autocast=autocast,
    )


def _fill(net: nn.Module, state: dict[str, torch.Tensor], prefix: str, folder: Path) -> None:
    own = {key.removeprefix(prefix): v for key, v in state.items() if key.startswith(prefix)}
    try:
        net.load_state_dict({key: value.float() for key, value in own.items()})
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise ModelError(
            f"model folder {folder}: weights do not fit the config: {reason}"
        ) from error


def _ready(net: Net, device: str) -> Net:
    net.eval().requires_grad_(requires_grad=False)
    # torch's own annotations leave memory_format out of Module.to.
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return net.to(device)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
