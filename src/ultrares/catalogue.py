"""Which models there are, where their files lie, and how a name becomes a loaded model."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, get_args

import torch

from ultrares.backbones.bicubic import BicubicBackbone
from ultrares.backbones.system import System
from ultrares.backbones.systems import SYSTEMS
from ultrares.errors import ModelError, OptionError
from ultrares.methods.cascade import MAX_SCALE
from ultrares.methods.saved import (
    BackboneConfig,
    Manifest,
    SavedModel,
    load_model,
    read_manifest,
    verify_checksum,
)
from ultrares.methods.wavediffur import WaveDiffUR
from ultrares.reports import ModelInfo

DEFAULT_MODEL = "csp-wavediffur-naip"
EMBEDDED = Path(__file__).parent / "weights"

Precision = Literal["auto", "fp32", "bf16"]


def load_saved(name: str | Path | None, *, precision: Precision, device: str | None) -> SavedModel:
    """Load the weights of a model; the arguments are those of :func:`ultrares.load`.

    Raises:
        ModelError: There is no such model, or its files are corrupt.
        OptionError: There is no such precision or device.
    """
    device = _usable(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    if name == "bicubic":
        return _bicubic()
    folder = locate(name or DEFAULT_MODEL)
    return load_model(folder, autocast=_use_bfloat16(precision, device), device=device)


def models() -> list[ModelInfo]:
    """List the models that are embedded in the package, and the systems that only lack weights."""
    infos = [
        _info(read_manifest(config.parent), config.parent)
        for config in sorted(EMBEDDED.glob("*/config.json"))
    ]
    have = {info.name for info in infos}
    untrained = [_untrained(system) for kind, system in SYSTEMS.items() if kind not in have]
    return [*infos, _info(_bicubic().manifest, None), *untrained]


def describe_model(name: str | Path) -> dict[str, Any]:
    """A model's manifest and whether its weights are whole, as plain values.

    Raises:
        ModelError: There is no such model.
    """
    if name == "bicubic":
        return asdict(_info(_bicubic().manifest, None))
    if str(name) in SYSTEMS and not _is_here(name):
        return asdict(_untrained(SYSTEMS[str(name)]))
    folder = locate(name)
    return {**asdict(_info(read_manifest(folder), folder)), **read_manifest(folder).model_dump()}


def locate(name: str | Path) -> Path:
    """The folder of a model, embedded, local or on the hub.

    Raises:
        ModelError: There is no such model.
    """
    for folder in _places(name):
        if (folder / "config.json").is_file():
            return folder
    if str(name) in SYSTEMS:
        raise ModelError(
            f"system {name!r} has no weights here: train them by `ultrares train {name} --data DIR --out "
            f"runs/{name}` and pass runs/{name}/model"
        )
    if Path(name).is_dir():
        raise ModelError(f"folder {name} holds no model: config.json is missing")
    if str(name).count("/") == 1 and not str(name).startswith((".", "/")):
        return _from_hub(str(name))
    known = ", ".join(info.name for info in models())
    raise ModelError(f"unknown model {str(name)!r}: choose {known}, a folder, or owner/repository")


def _places(name: str | Path) -> tuple[Path, Path]:
    return EMBEDDED / str(name), Path(name)


def _is_here(name: str | Path) -> bool:
    return any((folder / "config.json").is_file() for folder in _places(name))


def _from_hub(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(
            snapshot_download(
                name, allow_patterns=["config.json", "model.safetensors", "README.md"]
            )
        )
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise ModelError(
            f"model {name!r} is not here and cannot be fetched from the hub: {reason}"
        ) from error


def _bicubic() -> SavedModel:
    manifest = Manifest(
        name="bicubic",
        backbone=BackboneConfig(kind="bicubic"),
        licence="Apache-2.0",
        trained_on="nothing: the baseline",
    )
    return SavedModel(manifest, (WaveDiffUR(BicubicBackbone()),))


def _info(manifest: Manifest, folder: Path | None) -> ModelInfo:
    present = True
    if folder is not None:
        try:
            verify_checksum(folder, manifest)
        except ModelError:
            present = False
    return ModelInfo(
        name=manifest.name,
        method=_method(manifest),
        scales=f"every whole number from 2 to {MAX_SCALE}",
        bands="any number",
        parameters=manifest.parameters,
        licence=manifest.licence,
        trained_on=manifest.trained_on,
        present=present,
        path=None if folder is None else str(folder),
    )


def _method(manifest: Manifest) -> str:
    """The algorithm, and the system inside it if it is one of the papers'."""
    system = SYSTEMS.get(manifest.backbone.kind)
    return manifest.method if system is None else f"{manifest.method} around {system.title}"


def _untrained(system: System) -> ModelInfo:
    """The line of a system that waits for its weights, at its small size."""
    small, paper = system.presets["small"], system.presets["paper"]
    millions = system.parameters(paper) / 1e6
    return ModelInfo(
        name=system.kind,
        method=f"wavediffur around {system.title}",
        scales=f"every whole number from 2 to {MAX_SCALE}",
        bands="any number",
        parameters=system.parameters(small),
        licence="that of your weights",
        trained_on=f"nothing yet: `ultrares train {system.kind}` (preset `paper`: {millions:.1f} M)",
        present=False,
        path=None,
    )


def _usable(device: str) -> str:
    """The device, if a tensor can be made on it."""
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise OptionError(f"device {device!r} cannot be used here: {reason}") from error
    return device


def _use_bfloat16(precision: Precision, device: str) -> bool:
    if precision not in get_args(Precision):
        raise OptionError(f"unknown precision {precision!r}: choose auto, fp32 or bf16")
    if precision != "auto":
        return precision == "bf16"
    if device.startswith("cuda"):
        return torch.cuda.is_bf16_supported()
    # Emulated bfloat16 is slower than float32 by a factor, so ask the convolution library.
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
