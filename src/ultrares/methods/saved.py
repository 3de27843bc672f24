"""A model on disk: a folder with config.json, model.safetensors and a model card; never a pickle."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import safe_open
from torch import nn

from ultrares.backbones.bicubic import BicubicBackbone
from ultrares.backbones.systems import SYSTEMS
from ultrares.backbones.wavelet_residual import WaveletResidualBackbone
from ultrares.errors import ModelError
from ultrares.methods.band_prior import BandPrior
from ultrares.methods.cross_scale import CrossScale
from ultrares.methods.csp_wavediffur import CSPWaveDiffUR
from ultrares.methods.manifest import (
    BackboneConfig,
    DenoiserConfig,
    DetailsConfig,
    FusionConfig,
    Manifest,
    PyramidConfig,
    read_manifest,
)
from ultrares.methods.residual_bands import ResidualBands
from ultrares.methods.wavediffur import WaveDiffUR
from ultrares.methods.weights import (
    CONFIG,
    WEIGHTS,
    filled,
    load_weights,
    weights_of,
    write_folder,
)
from ultrares.nets.cross_scale_pyramid import CrossScalePyramid
from ultrares.nets.denoiser_unet import DenoiserUNet
from ultrares.nets.high_frequency import HighFrequency
from ultrares.nets.spatiotemporal_fusion import SpatiotemporalFusion
from ultrares.nets.wavelet_residual import WaveletResidualNet
from ultrares.types import Backbone

Net = TypeVar("Net", bound=nn.Module)

TRAINED_WITH = "trained_with"
"""Where weights remember the settings of their system, so that a changed config is not believed."""


@dataclass(frozen=True)
class SavedModel:
    """A manifest and the solvers that its weights make.

    Attributes:
        manifest: What the model is.
        solvers: Of one level, one per weight set.
        x4: Of two levels at once, without denoiser or reference; None if there is none.
    """

    manifest: Manifest
    solvers: tuple[WaveDiffUR, ...]
    x4: WaveDiffUR | None = None


def build_backbone(config: BackboneConfig, *, scale: int = 2) -> nn.Module | None:
    """The network of a backbone, with fresh weights; None if it has none.

    Args:
        config: Its kind and size.
        scale: What ours enlarges by; systems say so in their settings.

    Raises:
        ModelError: It is somebody else's, which a model folder does not hold.
    """
    if config.kind == "foreign":
        raise ModelError(
            "a model folder holds no foreign backbone: name its file instead (docs/plugins.md)"
        )
    if config.kind == "bicubic":
        return None
    if config.settings is not None:
        return SYSTEMS[config.kind].build(config.settings)
    return WaveletResidualNet(width=config.width, blocks=config.blocks, scale=scale)


def build_denoiser(config: DenoiserConfig) -> DenoiserUNet:
    """The denoising network, with fresh weights."""
    return DenoiserUNet(width=config.width, blocks=config.blocks)


def build_pyramid(config: PyramidConfig) -> CrossScalePyramid:
    """The encoder of the conditions, with fresh weights."""
    return CrossScalePyramid(width=config.width, heads=config.heads, blocks=config.blocks)


def build_fusion(config: FusionConfig) -> SpatiotemporalFusion:
    """What brings references to the date of a scene, with fresh weights."""
    return SpatiotemporalFusion(width=config.width)


def build_details(config: DetailsConfig) -> HighFrequency:
    """The high-frequency restoration, with fresh weights."""
    return HighFrequency(width=config.width, heads=config.heads)


def save_model(
    folder: Path,
    manifest: Manifest,
    nets: Sequence[Mapping[str, nn.Module]],
    *,
    card: str,
) -> Manifest:
    """Write a model folder, weights in half precision.

    Args:
        folder: Created if needed; existing files are replaced.
        manifest: Description; counts and checksum are filled in here.
        nets: The networks of each weight set by their role (:data:`Role`).
        card: The model card, Markdown.
    """
    manifest = manifest.model_copy(update={"levels": len(nets)})
    return write_folder(folder, manifest, nets, card=card, metadata=_memory(manifest))


def load_model(folder: Path, *, autocast: bool, device: str = "cpu") -> SavedModel:
    """Read a model folder and build its solvers.

    Raises:
        ModelError: A file is missing, or the weights do not match the manifest.
    """
    manifest = read_manifest(folder)
    state = _read_weights(folder, manifest)
    solvers = [
        _load_solver(_Weights(manifest, state, level, folder, device), autocast=autocast)
        for level in range(manifest.levels)
    ]
    last = _Weights(manifest, state, manifest.levels - 1, folder, device)
    return SavedModel(manifest, tuple(solvers), _load_x4(last, autocast=autocast))


def read_weights(
    folder: Path, manifest: Manifest, role: str, *, level: int = 0
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
    return weights_of(_read_weights(folder, manifest), f"{level}.{role}.")


def _read_weights(folder: Path, manifest: Manifest) -> dict[str, torch.Tensor]:
    if manifest.sha256 is None and manifest.backbone.kind == "bicubic":
        return {}
    state = load_weights(folder, manifest.sha256)
    _refuse_changed_settings(folder, manifest)
    return state


def _memory(manifest: Manifest) -> dict[str, str] | None:
    """What weights of a system remember."""
    settings = manifest.backbone.settings
    return None if settings is None else {TRAINED_WITH: settings.model_dump_json()}


def _refuse_changed_settings(folder: Path, manifest: Manifest) -> None:
    """A process other than the one trained for gives noise or blur, and no error."""
    settings = manifest.backbone.settings
    if settings is None:
        return
    with safe_open(folder / WEIGHTS, "pt") as file:
        trained = json.loads((file.metadata() or {}).get(TRAINED_WITH, "{}"))
    told = settings.model_dump(mode="json")
    for name in [*told, *trained]:
        if told.get(name) != trained.get(name):
            raise ModelError(
                f"model folder {folder}: {CONFIG} says backbone.settings.{name} is {told.get(name)}, but the "
                f"weights were trained with {trained.get(name)}: put that back, or train for the other value"
            )


@dataclass(frozen=True)
class _Weights:
    """One weight set of a model folder, and where its networks go."""

    manifest: Manifest
    state: dict[str, torch.Tensor]
    level: int
    folder: Path
    device: str

    def fill(self, build: Callable[[], Net], role: str) -> Net:
        """Build a role's network, load its weights and make it ready to use."""
        return filled(build, self.state, f"{self.level}.{role}.", self.folder).to(self.device)


def _load_solver(weights: _Weights, *, autocast: bool) -> WaveDiffUR:
    backbone = _load_backbone(weights, autocast=autocast)
    prior = _load_prior(weights, autocast=autocast)
    manifest = weights.manifest
    if manifest.method == "wavediffur":
        scale = 2 if prior else min(backbone.scales)
        return WaveDiffUR(backbone, prior, device=weights.device, scale=scale)
    parts = CrossScale(
        weights.fill(partial(build_pyramid, manifest.pyramid), "pyramid")
        if manifest.pyramid
        else None,
        weights.fill(partial(build_details, manifest.details), "details")
        if manifest.details
        else None,
        autocast,
        weights.fill(partial(build_fusion, manifest.fusion), "fusion") if manifest.fusion else None,
        frozenset(manifest.fusion.ratios) if manifest.fusion else frozenset(),
    )
    solver = CSPWaveDiffUR(backbone, parts, prior, device=weights.device)
    unused = manifest.details is not None and not manifest.details.used
    return solver.with_parts("model-1") if unused else solver


def _load_x4(weights: _Weights, *, autocast: bool) -> WaveDiffUR | None:
    config = weights.manifest.backbone_x4
    if config is None:
        return None
    net = weights.fill(partial(_built_backbone, config, scale=4), "backbone_x4")
    assert isinstance(net, WaveletResidualNet)
    backbone = WaveletResidualBackbone(net, name=weights.manifest.name, autocast=autocast)
    return WaveDiffUR(backbone, device=weights.device, scale=4)


def _load_backbone(weights: _Weights, *, autocast: bool) -> Backbone:
    config, name = weights.manifest.backbone, weights.manifest.name
    if config.kind == "bicubic":
        return BicubicBackbone()
    net = weights.fill(partial(_built_backbone, config), "backbone")
    if config.settings is None:
        assert isinstance(net, WaveletResidualNet)
        return WaveletResidualBackbone(net, name=name, autocast=autocast)
    system = SYSTEMS[config.kind]
    backbone = system.backbone(net, config.settings, name=name, autocast=autocast)
    if backbone.halo is None:
        warnings.warn(
            f"model {name!r} looks at whole images: a scene of more than one cell is computed cell by cell, "
            "and seams between cells can show; its preset `small` has none",
            stacklevel=4,
        )
    return backbone


def _built_backbone(config: BackboneConfig, *, scale: int = 2) -> nn.Module:
    net = build_backbone(config, scale=scale)
    assert net is not None, "there are no weights of bicubic interpolation"
    return net


def _load_prior(weights: _Weights, *, autocast: bool) -> BandPrior | None:
    config = weights.manifest.denoiser
    if config is None:
        return None
    return BandPrior(
        weights.fill(partial(build_denoiser, config), "denoiser"),
        ResidualBands(config.stds),
        sigma_start=config.sigma_start,
        sigma_end=config.sigma_end,
        eta=config.eta,
        steps=config.steps,
        draw_steps=config.draw_steps,
        gain=config.gain,
        autocast=autocast,
    )
