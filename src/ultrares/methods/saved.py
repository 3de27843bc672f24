"""A model on disk: a folder with config.json, model.safetensors and a model card; never a pickle."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

import torch
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SerializeAsAny,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)
from safetensors import safe_open
from torch import nn

from ultrares.backbones.bicubic import BicubicBackbone
from ultrares.backbones.system import SystemSettings
from ultrares.backbones.systems import SYSTEMS
from ultrares.backbones.wavelet_residual import WaveletResidualBackbone
from ultrares.errors import ModelError
from ultrares.methods.band_prior import BandPrior
from ultrares.methods.cross_scale import CrossScale
from ultrares.methods.csp_wavediffur import CSPWaveDiffUR
from ultrares.methods.residual_bands import ResidualBands
from ultrares.methods.wavediffur import WaveDiffUR
from ultrares.methods.weights import (
    CONFIG,
    WEIGHTS,
    filled,
    load_weights,
    read_config,
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

Role = Literal["backbone", "backbone_x4", "fusion", "pyramid", "details", "denoiser"]
"""What a network is for."""

OWN_KINDS = ("wavelet-residual", "bicubic", "foreign")
"""Backbones that are no system of the papers."""

TRAINED_WITH = "trained_with"
"""Where weights remember the settings of their system, so that a changed config is not believed."""


class _Section(BaseModel):
    # Whoever reads another kind of model need not wait for what checks these.
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class BackboneConfig(_Section):
    """Which super-resolver, and its size: ours by width and blocks, a system's by its settings."""

    kind: str
    width: Annotated[int, Field(ge=1)] = 64
    blocks: Annotated[int, Field(ge=1)] = 16
    settings: SerializeAsAny[SystemSettings] | None = None
    """Of one of the papers' systems: everything that its weights were trained for."""

    @field_validator("kind")
    @classmethod
    def _is_known(cls, kind: str) -> str:
        if kind not in (*OWN_KINDS, *SYSTEMS):
            known = ", ".join((*OWN_KINDS, *SYSTEMS))
            raise ValueError(f"there is no backbone of kind {kind!r}: choose {known}")
        return kind

    @field_validator("settings", mode="before")
    @classmethod
    def _are_the_system_s(cls, given: object, info: ValidationInfo) -> object:
        system = SYSTEMS.get(info.data.get("kind", ""))
        return given if system is None or given is None else system.validated(given)

    @model_validator(mode="after")
    def _has_what_its_kind_needs(self) -> Self:
        system = SYSTEMS.get(self.kind)
        if system is None and self.settings is not None:
            raise ValueError(f"a backbone of kind {self.kind!r} has no settings")
        if system is not None and not isinstance(self.settings, system.settings):
            raise ValueError(f"a backbone of kind {self.kind!r} needs the settings of its weights")
        if self.settings is not None and self.model_fields_set & {"width", "blocks"}:
            raise ValueError(f"the size of a backbone of kind {self.kind!r} is in its settings")
        return self

    @model_serializer(mode="wrap")
    def _without_the_others(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        idle = {"settings"} if self.settings is None else {"width", "blocks"}
        return {key: value for key, value in dump(self).items() if key not in idle}


class PyramidConfig(_Section):
    """The size of the cross-scale pyramid encoder."""

    width: Annotated[int, Field(ge=1)] = 96
    heads: Annotated[int, Field(ge=1)] = 12
    blocks: Annotated[int, Field(ge=1)] = 1


def _is_level(ratio: int) -> int:
    if ratio & (ratio - 1):
        raise ValueError(f"{ratio} is no power of two, as the levels of a cascade are")
    return ratio


FusedRatio = Annotated[int, Field(ge=4), AfterValidator(_is_level)]
"""How many times finer than its scene a reference can be to be fused, along one side."""


class FusionConfig(_Section):
    """The size of the spatiotemporal fusion, and where it is made use of."""

    width: Annotated[int, Field(ge=1)] = 64
    ratios: Annotated[tuple[FusedRatio, ...], Field(min_length=1)]
    """Pixels of a reference per pixel of the scene, along one side, that it was trained at."""


class DetailsConfig(_Section):
    """The size of the high-frequency restoration."""

    width: Annotated[int, Field(ge=1)] = 64
    heads: Annotated[int, Field(ge=1)] = 8
    used: bool = True
    """Whether the model makes use of it; if not, it is there for the ablation alone."""


class DenoiserConfig(_Section):
    """The size of the denoiser, the scale of what it denoises, and how it is best sampled."""

    width: Annotated[int, Field(ge=1)]
    blocks: tuple[int, int, int]
    stds: tuple[float, float, float, float]
    sigma_start: float = 3.0
    sigma_end: float = 0.1
    eta: float = 0.7
    steps: Annotated[int, Field(ge=1)] = 4
    draw_steps: Annotated[int, Field(ge=1)] | None = None
    """Denoiser calls of each of several draws; ``steps`` if it is not given."""
    gain: Annotated[float, Field(gt=0)] = 1.0
    widening: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1)] | None = (
        None
    )
    """Factor from the pooled standard deviation of draws to the error of their mean, so that the central
    90 % interval held 90 % of the true pixels of the training imagery: of one level, two, and so on, the last
    for all beyond; None if it was not measured."""


class Manifest(_Section):
    """Everything about a saved model except its numbers.

    ``levels`` counts the weight sets: 1 is shared by all levels of a cascade (``reuse``), more belong to
    one level each, the last to all that follow (``progressive``). ``backbone_x4`` makes the last two levels of a
    conditional mean at once where there is no reference. ``effective_pixel`` says by scale at which
    pixel size, in output pixels, half of the true contrast was left on imagery that was not trained on.
    """

    format: Literal[1] = 1
    name: str
    method: Literal["wavediffur", "csp-wavediffur"] = "wavediffur"
    levels: Annotated[int, Field(ge=1, le=7)] = 1
    backbone: BackboneConfig
    backbone_x4: BackboneConfig | None = None
    fusion: FusionConfig | None = None
    pyramid: PyramidConfig | None = None
    details: DetailsConfig | None = None
    denoiser: DenoiserConfig | None = None
    licence: str
    trained_on: str
    recipe: str | None = None
    parameters: int = 0
    sha256: str | None = None
    effective_pixel: dict[int, float] = Field(default_factory=dict)

    @field_validator("backbone_x4")
    @classmethod
    def _is_ours(cls, config: BackboneConfig | None) -> BackboneConfig | None:
        if config is not None and config.kind != "wavelet-residual":
            raise ValueError(f"must be of kind 'wavelet-residual', not {config.kind!r}")
        return config

    @model_validator(mode="after")
    def _fused_references_are_used(self) -> Self:
        if self.fusion is not None and self.pyramid is None:
            raise ValueError(
                "fusion: fused references are made use of by a pyramid, and there is none"
            )
        return self


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


def read_manifest(folder: Path) -> Manifest:
    """Read and check a model's config.json.

    Raises:
        ModelError: The file is missing or not a valid manifest.
    """
    return read_config(folder, Manifest)


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
