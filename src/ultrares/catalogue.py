"""Which models there are, where their files lie, and how a name becomes a loaded model."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import torch

from ultrares.backbones.bicubic import BicubicBackbone
from ultrares.backbones.formats import FORMATS, is_foreign
from ultrares.backbones.system import System
from ultrares.backbones.systems import SYSTEMS
from ultrares.backbones.wrap import Backbone as Wrapped
from ultrares.errors import ModelError, OptionError
from ultrares.methods.cascade import MAX_SCALE
from ultrares.methods.manifest import BackboneConfig, Manifest, read_manifest
from ultrares.methods.plugged import UNSAID, plugged
from ultrares.methods.saved import SavedModel, load_model
from ultrares.methods.saved_operator import (
    OperatorManifest,
    SavedOperator,
    load_operator,
    read_operator_manifest,
)
from ultrares.methods.shelves import EMBEDDED, all_shelved, shelved
from ultrares.methods.wavediffur import WaveDiffUR
from ultrares.methods.weights import CONFIG, verify_checksum
from ultrares.reports import ModelInfo
from ultrares.types import Backbone, Precision

if TYPE_CHECKING:
    from ultrares.backbones.foreign import Foreign

DEFAULT_MODEL = "csp-wavediffur-naip"
RESIDUAL_MODEL = "neurop-diff-naip"


def load_saved(
    name: str | Path | Backbone | None, *, precision: Precision, device: str | None
) -> SavedModel | SavedOperator:
    """Load the weights of a model; the arguments are those of :func:`ultrares.load`.

    Raises:
        ModelError: There is no such model, or its files are corrupt.
        OptionError: There is no such precision or device.
    """
    if not (name is None or isinstance(name, str | Path)):
        return _of_backbone(name, precision, device)
    device = _usable(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    if name == "bicubic":
        return _bicubic()
    if name is not None and is_foreign(name):
        # Foreign networks may put all that they know into their output, which 8 bits would cut.
        autocast = _use_bfloat16(precision, device) and precision == "bf16"
        return _of_foreign(_foreign(name, autocast=autocast), device)
    folder = locate(name or DEFAULT_MODEL)
    autocast = _use_bfloat16(precision, device)
    if _is_operator(folder):
        return load_operator(folder, autocast=autocast, device=device)
    return load_model(folder, autocast=autocast, device=device)


def residual_loader(
    *, precision: Precision, device: str | None
) -> Callable[[], SavedOperator] | None:
    """What loads the operator that goes on from a cascade to a scale no level reaches; None without one."""
    folder = EMBEDDED / RESIDUAL_MODEL
    if not (folder / CONFIG).is_file():
        return None

    def load() -> SavedOperator:
        where = _usable(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        return load_operator(folder, autocast=_use_bfloat16(precision, where), device=where)

    return cache(load)


def models(*names: str | Path) -> list[ModelInfo]:
    """List the models that are on a shelf (docs/plugins.md) and the systems that only lack weights, or these.

    Args:
        names: List only those, which are anything that :func:`ultrares.load` takes by name.

    Raises:
        ModelError: There is no such model.
    """
    if names:
        return [_described(name)[0] for name in names]
    infos = [_on_shelf(folder) for folder in all_shelved()]
    have = {info.name for info in infos}
    untrained = [_untrained(system) for kind, system in SYSTEMS.items() if kind not in have]
    return [*infos, _info(_bicubic().manifest, None), *untrained]


def describe_model(name: str | Path) -> dict[str, Any]:
    """A model's manifest and whether its weights are whole, as plain values.

    Raises:
        ModelError: There is no such model.
    """
    info, more = _described(name)
    return {**asdict(info), **more}


def locate(name: str | Path) -> Path:
    """The folder of a model: on a shelf, a path, or on the hub.

    Raises:
        ModelError: There is no such model.
    """
    here = _here(name)
    if here is not None:
        return here
    if str(name) in SYSTEMS:
        raise ModelError(
            f"system {name!r} has no weights here: train them by `ultrares train {name} --data DIR --out "
            f"runs/{name}` and pass runs/{name}/model, or copy that folder as {name} to one that "
            "`ultrares models --where` lists"
        )
    if Path(name).is_dir():
        raise ModelError(f"folder {name} holds no model: config.json is missing")
    if str(name).count("/") == 1 and not str(name).startswith((".", "/")):
        return _from_hub(str(name))
    if Path(name).is_file():
        raise ModelError(f"{name} is no model file: its name has to end in {', '.join(FORMATS)}")
    if "/" in str(name):
        raise ModelError(f"model {name} does not exist: there is no such folder or file")
    known = ", ".join(info.name for info in models())
    raise ModelError(
        f"unknown model {str(name)!r}: choose {known}, a folder, a model file, or owner/repository"
    )


def _here(name: str | Path) -> Path | None:
    """The folder of a model on this machine, the shelves before a path."""
    found = shelved(name)
    if found is None and (Path(name) / CONFIG).is_file():
        return Path(name)
    return found


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


def _of_backbone(backbone: Any, precision: Precision, device: str | None) -> SavedModel:
    """A model around a backbone that a program made.

    One that was wrapped is brought to the device; one of another class stays where it is, which is the CPU
    unless a device is named.
    """
    if not (callable(backbone) and hasattr(backbone, "scales") and hasattr(backbone, "size_rule")):
        raise ModelError(
            f"{type(backbone).__name__} is no backbone: wrap it by ultrares.Backbone.wrap(net, scales=(4,), "
            "halo=16), or name a model"
        )
    if not isinstance(backbone, Wrapped):
        return plugged([backbone], name=backbone.name, device=_usable(device or "cpu"))
    device = _usable(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    autocast = _use_bfloat16(precision, device)
    if precision != "auto":
        backbone = replace(backbone, autocast=autocast)
    return plugged(
        [backbone.to(device)],
        name=backbone.name,
        licence=backbone.licence,
        trained_on=backbone.trained_on,
        parameters=backbone.parameters or 0,
        device=device,
    )


def _foreign(name: str | Path, *, autocast: bool = False) -> Foreign:
    """Somebody else's files, for which alone their readers are imported."""
    from ultrares.backbones.foreign import load_foreign

    return load_foreign(Path(name), autocast=autocast)


def _of_foreign(foreign: Foreign, device: str) -> SavedModel:
    """A model around the backbones of somebody else's files."""
    return plugged(
        [backbone.to(device) for backbone in foreign.backbones],
        name=foreign.name,
        licence=foreign.licence,
        trained_on=foreign.trained_on,
        sha256=foreign.sha256,
        parameters=_parameters(foreign.backbones) or 0,
        device=device,
    )


def _parameters(backbones: Sequence[Wrapped]) -> int | None:
    """The weights of several backbones together; None if one of them does not tell."""
    counts = [backbone.parameters for backbone in backbones]
    return None if None in counts else sum(count for count in counts if count is not None)


def _described(name: str | Path) -> tuple[ModelInfo, dict[str, Any]]:
    """A model's line in a list, and what else is known about it."""
    if name == "bicubic":
        return _info(_bicubic().manifest, None), {}
    if is_foreign(name):
        foreign = _foreign(name)
        return _foreign_info(foreign, Path(name)), _foreign_facts(foreign)
    if str(name) in SYSTEMS and _here(name) is None:
        return _untrained(SYSTEMS[str(name)]), {}
    folder = locate(name)
    manifest = manifest_of(folder)
    return _info(manifest, folder), manifest.model_dump()


def _foreign_info(foreign: Foreign, path: Path) -> ModelInfo:
    first = foreign.backbones[0]
    steps = ", ".join(f"x{scale}" for backbone in foreign.backbones for scale in backbone.scales)
    return ModelInfo(
        name=foreign.name,
        method="wavediffur",
        scales=f"every whole number from 2 to {MAX_SCALE}, in steps of {steps}",
        bands="any number" if first.bands is None else f"any number, {first.bands} at a time",
        parameters=_parameters(foreign.backbones),
        licence=foreign.licence or UNSAID,
        trained_on=foreign.trained_on or UNSAID,
        present=True,
        path=str(path),
    )


def _foreign_facts(foreign: Foreign) -> dict[str, Any]:
    """What only files of others have."""
    each = foreign.backbones
    return {
        "kind": foreign.kind,
        "native_scales": [scale for backbone in each for scale in backbone.scales],
        "halo": max(backbone.halo for backbone in each),
        "local": all(backbone.local for backbone in each),
        "size_rule": asdict(each[0].size_rule),
        "value_range": list(each[0].value_range),
        "sha256": foreign.sha256,
    }


def _is_operator(folder: Path) -> bool:
    try:
        method = json.loads((folder / CONFIG).read_text()).get("method")
    except (OSError, ValueError, AttributeError):
        # Whoever reads it for what it is will say what is wrong with it.
        return False
    return bool(method == "neurop-diff")


def manifest_of(folder: Path) -> Manifest | OperatorManifest:
    """Read and check the config.json of a model of either kind.

    Raises:
        ModelError: The file is missing or not a valid manifest.
    """
    return read_operator_manifest(folder) if _is_operator(folder) else read_manifest(folder)


def _info(manifest: Manifest | OperatorManifest, folder: Path | None) -> ModelInfo:
    present = True
    if folder is not None:
        try:
            verify_checksum(folder, manifest.sha256)
        except ModelError:
            present = False
    return ModelInfo(
        name=manifest.name,
        method=_method(manifest),
        scales=f"any number above 1, to {MAX_SCALE}",
        bands="any number",
        parameters=manifest.parameters,
        licence=manifest.licence,
        trained_on=manifest.trained_on,
        present=present,
        path=None if folder is None else str(folder),
    )


def _on_shelf(folder: Path) -> ModelInfo:
    """The line of a folder on a shelf, under the name it is loaded by; one that cannot be read says why."""
    try:
        return replace(_info(manifest_of(folder), folder), name=folder.name)
    except ModelError as error:
        return ModelInfo(
            name=folder.name,
            method="unreadable",
            scales=UNSAID,
            bands=UNSAID,
            parameters=None,
            licence=UNSAID,
            trained_on=str(error),
            present=False,
            path=str(folder),
        )


def _method(manifest: Manifest | OperatorManifest) -> str:
    """The algorithm, and the system inside it if it is one of the papers'."""
    if isinstance(manifest, OperatorManifest):
        return manifest.method
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


def arithmetic(precision: Precision = "auto", device: str | None = None) -> str:
    """How a model that is loaded with these options computes, in words.

    Raises:
        OptionError: There is no such precision or device.
    """
    where = _usable(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    return f"{where.partition(':')[0]} in {'bf16' if _use_bfloat16(precision, where) else 'fp32'}"


def _usable(device: str) -> str:
    """The device, if a tensor can be made on it."""
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        if device.partition(":")[0] not in ("cpu", "cuda"):
            raise OptionError(
                f"device {device!r} cannot be used here: choose cpu, cuda or one of several GPUs, such as cuda:1"
            ) from error
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
