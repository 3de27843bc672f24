"""What a model's config.json says: which networks there are, how large they are, and how they are put to use."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

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

from ultrares.backbones.system import SystemSettings
from ultrares.backbones.systems import SYSTEMS
from ultrares.methods.weights import read_config

Role = Literal["backbone", "backbone_x4", "fusion", "pyramid", "details", "denoiser"]
"""What a network is for."""

OWN_KINDS = ("wavelet-residual", "bicubic", "foreign")
"""Backbones that are no system of the papers."""


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


def read_manifest(folder: Path) -> Manifest:
    """Read and check a model's config.json.

    Raises:
        ModelError: The file is missing or not a valid manifest.
    """
    return read_config(folder, Manifest)
