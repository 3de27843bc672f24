"""The sections of a recipe's stages: imagery, network, optimiser, loss."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from ultrares.methods.manifest import FusedRatio
from ultrares.sensor.models import parse_sensor

Share = Annotated[float, Field(ge=0, le=1)]
Part = Annotated[float, Field(ge=0)]
Weight = Annotated[float, Field(gt=0)]

Variation = Literal["squared", "absolute"]
Preset = Literal["pixel", "full", "paper"]
PRESETS: dict[str, dict[str, Any]] = {
    "pixel": {},
    "full": {"structure": 1.0, "bands": 0.1, "smoothness": 0.001},
    "paper": {"structure": 1.0, "bands": 0.1, "smoothness": 2.0},
}


class Section(BaseModel):
    """A table of a recipe: unknown keys are refused, and nothing changes afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DatesSection(Section):
    """Which images are references of which, and what is wrong with some of them."""

    places: str
    """Regular expression for file names; files whose groups agree show one place at several dates."""
    wrong: Share = 0.12
    """Share of references that show another place."""
    blurred: Share = 0.1
    """Share of references no finer than what they are offered to."""
    shifted: Share = 0.2
    """Share of references shifted by a pixel of the result."""
    simulated: Share = 0.3
    """Share made from the truth itself, blurred, shifted and mixed with another place's detail."""
    jitter: Part = 0.35
    """Largest change in contrast, as an exponent of two of a gamma."""
    registered: bool = False
    """Whether real references are moved onto the truth by parts of a pixel, as upscaling moves them onto its scene."""
    registration_error: Annotated[float, Field(ge=0, le=4)] = 0.0
    """Standard deviation of what that leaves, in pixels of the result."""

    @field_validator("places")
    @classmethod
    def _names_places(cls, places: str) -> str:
        try:
            groups = re.compile(places).groups
        except re.error as error:
            raise ValueError(f"{places!r} is no regular expression: {error}") from error
        if not groups:
            raise ValueError(f"{places!r} has no group that would name a place")
        return places


class ReferencesSection(DatesSection):
    """Which reference images are offered, and how often."""

    offered: Share = 0.5
    """Share of batches with references."""
    trusted: Share = 0.0
    """Restoration: share of the detail of references of the place in what is to be learnt, instead of the truth's."""


class TilesSection(Section):
    """Which imagery is trained on, and how it is cut."""

    pattern: str = "*.tif"
    """Files of the data folder that are trained on; ``**/*.tif`` looks into subfolders."""
    tile: Annotated[int, Field(ge=16, multiple_of=16)] = 256
    """Side of the tiles that they are cut into, in pixels; no crop can be larger."""
    alpha_is_light: bool = False
    """Whether bands marked as alpha carry light, such as near infrared in a file written as RGBA."""
    sensors: Annotated[dict[str, Weight], Field(min_length=1)]
    """Sensor models and how often each is drawn."""
    batch: Annotated[int, Field(ge=1)] = 16
    """Crops in a step."""
    any_bands: Share = 0.2
    """Share of batches of three arbitrary bands instead of RGB."""

    @field_validator("sensors")
    @classmethod
    def _are_known(cls, sensors: dict[str, float]) -> dict[str, float]:
        for name in sensors:
            parse_sensor(name)
        return sensors


class DataSection(TilesSection):
    """What the model sees."""

    depths: Annotated[tuple[Part, ...], Field(min_length=3, max_length=4)]
    """How often an input stands at depth 0, 1 and 2 of a cascade; where there are references, 3 too."""
    crop: Annotated[int, Field(ge=8, multiple_of=4)] = 48
    """Side of an input crop, in pixels."""
    coarser: Share | Annotated[tuple[Share, ...], Field(min_length=1, max_length=3)] = 0.3
    """Share of batches whose truth is a tile reduced by 2; several numbers for those reduced by 2, 4 and 8. Where there
    are no octaves."""
    octaves: tuple[Part, Part, Part, Part] = (0.4, 0.25, 0.2, 0.15)
    """Stages with references: how often the truth is a tile, and a tile reduced by 2, 4 and 8."""
    references: ReferencesSection | None = None
    """Stages with references: where they come from; none are offered without."""

    @field_validator("depths")
    @classmethod
    def _are_drawn(cls, depths: tuple[float, ...]) -> tuple[float, ...]:
        if not any(depths):
            raise ValueError("at least one depth needs a share above 0")
        return depths

    @field_validator("coarser")
    @classmethod
    def _are_shares(cls, coarser: float | tuple[float, ...]) -> float | tuple[float, ...]:
        if isinstance(coarser, tuple) and sum(coarser) > 1:
            raise ValueError("the shares of coarser tiles must not be more than 1 in all")
        return coarser


class FusionData(TilesSection):
    """What a fusion sees: scenes, references of another date, and the truth; ``any_bands`` is a share of crops."""

    ratios: Annotated[dict[Annotated[FusedRatio, Field(le=64)], Weight], Field(min_length=1)]
    """How many times finer the references are, powers of two, and how often each is drawn. The model fuses at these."""
    references: DatesSection
    """Where they come from."""


class FusionNetSection(Section):
    """How large the fusion is."""

    width: Annotated[int, Field(ge=8)] = 64
    """Channels; twice as many below the first resolution."""


class NetSection(Section):
    """How large the network is."""

    width: Annotated[int, Field(ge=8)] = 64
    """Channels."""
    blocks: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1, max_length=3)]
    """Residual blocks: one number for the backbone, three for the denoiser."""


class OptimiserSection(Section):
    """How it is fitted."""

    steps: Annotated[int, Field(ge=1)]
    """Optimisation steps."""
    rate: Annotated[float, Field(gt=0)] = 3e-4
    """Peak learning rate of Adam, reached after the warm-up and then a cosine to zero."""
    warmup: Annotated[int, Field(ge=0)] = 200
    """Steps of linear warm-up."""
    clip: Annotated[float, Field(gt=0)] = 0.5
    """Largest norm of a gradient."""
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.998
    """Decay of the averaged weights, which are the ones kept."""


class LossSection(Section):
    """What the estimated image is compared with the truth by: a preset, numbers, or both.

    ``pixel`` is the mean absolute error alone. ``full`` is the WaveDiffUR paper's image loss with a weight
    of the total variation that keeps detail, and ``paper`` is that loss to the letter, which erases it.
    Numbers beside a preset take the place of the preset's.
    """

    preset: Preset = "pixel"
    pixel: Part = 1.0
    """Weight of the mean absolute error."""
    squared: Part = 0.0
    """Weight of the mean squared error, which PSNR goes by: where a reference may have changed, the mean of what
    can be is not its median."""
    log_squared: Part = 0.0
    """Weight of the logarithm of the mean squared error, which is PSNR: batches of small errors count like others."""
    structure: Part = 0.0
    """Weight of 1 - SSIM."""
    bands: Part = 0.0
    """Weight of the detail bands' squared error, the paper's lambda_1."""
    smoothness: Part = 0.0
    """Weight of the detail bands' total variation, the paper's lambda_2."""
    variation: Variation = "squared"
    """Total variation by squared differences, as the paper, or by absolute ones, which spare edges."""

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, given: object) -> object:
        # A wrong preset is reported by its own field.
        if isinstance(given, dict) and given.get("preset") in PRESETS:
            return {**PRESETS[given["preset"]], **given}
        return given

    @model_validator(mode="after")
    def _compares_something(self) -> Self:
        if not any((self.pixel, self.squared, self.log_squared, self.structure, self.bands)):
            raise ValueError(
                "at least one of pixel, squared, log_squared, structure and bands needs a weight above 0"
            )
        return self


class RestorationNetSection(Section):
    """How large the cross-scale pyramid and the high-frequency restoration are."""

    width: Annotated[int, Field(ge=8)] = 96
    """Channels of the pyramid; a multiple of its heads."""
    heads: Annotated[int, Field(ge=1)] = 12
    """Attention heads of the pyramid."""
    blocks: Annotated[int, Field(ge=1)] = 1
    """Cross-scale blocks of the pyramid."""
    detail_width: Annotated[int, Field(ge=0)] = 64
    """Channels of the high-frequency restoration, a multiple of its heads; 0 for none."""
    detail_heads: Annotated[int, Field(ge=1)] = 8
    """Attention heads of the high-frequency restoration."""

    @model_validator(mode="after")
    def _heads_divide_widths(self) -> Self:
        if self.width % self.heads or self.detail_width % self.detail_heads:
            raise ValueError("widths must be multiples of their numbers of heads")
        return self


class SystemData(TilesSection):
    """What one of the papers' systems sees."""

    crop: Annotated[int, Field(ge=16, multiple_of=16)] = 96
    """Side of a crop of the truth, in pixels, whatever the scale."""


class ContinuousData(TilesSection):
    """What a neural operator and its denoiser see: images reduced by any scale."""

    crop: Annotated[int, Field(ge=16)] = 48
    """Largest side of an image, in pixels."""
    places: Annotated[int, Field(ge=8)] | None = None
    """Rows and columns of the truth that are asked for at random; without it, all of them."""
    truth: Annotated[int, Field(ge=16)] | None = None
    """Largest side of the truth, in pixels; without it, the tiles'."""
    coarser: Share = 0.25
    """Share of batches at the second, coarser ground sampling distance."""
