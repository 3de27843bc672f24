"""Somebody else's networks from files: one file for one scale, or a folder for several."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from ultrares.backbones.card import Card, FolderCard, StateCard, card_of, read_card
from ultrares.backbones.formats import FOLDER_CARD, FORMATS
from ultrares.backbones.onnx_file import load_onnx
from ultrares.backbones.plugin import Plugin
from ultrares.backbones.state_dict import load_state_dict
from ultrares.backbones.torchscript import is_torchscript, load_torchscript
from ultrares.backbones.wrap import Backbone
from ultrares.errors import ModelError


@dataclass(frozen=True)
class Foreign:
    """What a path held.

    Attributes:
        name: The card's name, or that of the file or folder.
        kind: The files' formats and architectures, in words.
        backbones: One for each file, by scale.
        licence: Of the weights; None if nobody said.
        trained_on: Data that they were trained on; None if nobody said.
        sha256: Of the file, or of its files' checksums in the order of their scales.
    """

    name: str
    kind: str
    backbones: tuple[Backbone, ...]
    licence: str | None
    trained_on: str | None
    sha256: str


def load_foreign(path: Path, *, autocast: bool = False) -> Foreign:
    """Read a file, or the files of a folder with a ``card.toml``.

    Args:
        path: See :mod:`ultrares.backbones.formats` for suffixes.
        autocast: Whether to compute in bfloat16 where torch does so by itself.

    Raises:
        ModelError: Something is missing, unsafe, unknown or contradicts its card.
        MissingExtraError: A package that reads the format is not installed.
    """
    with suppress(ModuleNotFoundError):
        # Commands have postponed it, and nobody knows what somebody else's code does with shapes. Part of torch, so it may
        # be called otherwise one day.
        import_module("torch._meta_registrations")
    if path.is_dir():
        return _load_folder(path, autocast=autocast)
    backbone, kind = load_file(path, autocast=autocast)
    return Foreign(
        name=backbone.name,
        kind=kind,
        backbones=(backbone,),
        licence=backbone.licence,
        trained_on=backbone.trained_on,
        sha256=_sha256(path),
    )


def load_file(path: Path, *, autocast: bool = False) -> Plugin:
    """Read one file, whatever its format.

    Raises:
        ModelError: It is missing, unsafe, unknown or contradicts its card.
        MissingExtraError: A package that reads the format is not installed.
    """
    suffix, beside = path.suffix.lower(), card_of(path)
    if not path.is_file():
        raise ModelError(f"model file {path} does not exist")
    if suffix not in FORMATS:
        raise ModelError(f"model file {path} is none of {', '.join(FORMATS)}")
    if suffix == ".onnx":
        return load_onnx(path, read_card(beside, Card))
    if suffix == ".ts" or (suffix == ".pt" and is_torchscript(path)):
        return load_torchscript(path, read_card(beside, Card), autocast=autocast)
    card = read_card(beside, StateCard) if beside.exists() else StateCard()
    return load_state_dict(path, card, autocast=autocast)


def _load_folder(folder: Path, *, autocast: bool) -> Foreign:
    card = read_card(folder / FOLDER_CARD, FolderCard)
    files = {scale: folder / name for scale, name in card.files.items()}
    plugins = {scale: load_file(file, autocast=autocast) for scale, file in files.items()}
    for scale, (backbone, _) in plugins.items():
        made_for = str(backbone.scales[0])
        if scale != made_for:
            raise ModelError(
                f"card {folder / FOLDER_CARD} lists {files[scale].name} for x{scale}, but it is made for "
                f"x{made_for}"
            )
    ordered = [plugins[scale] for scale in sorted(plugins, key=int)]
    hashes = "".join(_sha256(files[scale]) for scale in sorted(files, key=int))
    return Foreign(
        name=card.name or folder.resolve().name,
        kind=_joined(plugin.kind for plugin in ordered) or "",
        backbones=tuple(plugin.backbone for plugin in ordered),
        licence=card.licence or _joined(plugin.backbone.licence for plugin in ordered),
        trained_on=card.trained_on or _joined(plugin.backbone.trained_on for plugin in ordered),
        sha256=hashlib.sha256(hashes.encode()).hexdigest(),
    )


def _joined(words: Iterable[str | None]) -> str | None:
    """What several files say, each thing once."""
    return ", ".join(dict.fromkeys(word for word in words if word)) or None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
