"""A training recipe: everything that decides what a model becomes, checked when it is read."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from ultrares.backbones.system import System, SystemPreset, SystemSettings
from ultrares.backbones.systems import SYSTEMS
from ultrares.errors import OptionError
from ultrares.methods.saved_operator import OperatorConfig, PixelDenoiserConfig
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

SHELVES = (Path(__file__).parents[1] / "recipes", Path(__file__).parents[3] / "recipes")
"""Where recipes are kept that have a name: in the package, and beside it in a checkout."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ReferencesSection(_Section):
    """Which reference images are offered, and what is wrong with some of them."""

    places: str
    """Regular expression for file names; files whose groups agree show one place at several dates."""
    offered: Share = 0.5
    """Share of batches with references."""
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


class TilesSection(_Section):
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

    depths: tuple[Part, Part, Part]
    """How often an input stands at depth 0, 1 and 2 of a cascade."""
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
    def _are_drawn(cls, depths: tuple[float, float, float]) -> tuple[float, float, float]:
        if not any(depths):
            raise ValueError("at least one depth needs a share above 0")
        return depths

    @field_validator("coarser")
    @classmethod
    def _are_shares(cls, coarser: float | tuple[float, ...]) -> float | tuple[float, ...]:
        if isinstance(coarser, tuple) and sum(coarser) > 1:
            raise ValueError("the shares of coarser tiles must not be more than 1 in all")
        return coarser


class NetSection(_Section):
    """How large the network is."""

    width: Annotated[int, Field(ge=8)] = 64
    """Channels."""
    blocks: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1, max_length=3)]
    """Residual blocks: one number for the backbone, three for the denoiser."""


class OptimiserSection(_Section):
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


class LossSection(_Section):
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


class RestorationNetSection(_Section):
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


class AnyStage(_Section):
    """What all stages have."""

    seed: int = 0
    """Seed of initial weights and of every draw."""
    start_from: str | None = None
    """Model whose weights the network starts from: a name, a folder or a hub id; none for fresh ones."""
    data: TilesSection
    optimiser: OptimiserSection

    def capped(self, steps: int) -> Self:
        """The same stage with so many steps at most."""
        least = min(steps, self.optimiser.steps)
        return self.model_copy(
            update={"optimiser": self.optimiser.model_copy(update={"steps": least})}
        )


class Stage(AnyStage):
    """One network and how it is trained."""

    data: DataSection
    net: NetSection
    loss: LossSection = LossSection()
    """What the backbone's image is compared by; a denoiser has its own loss."""


DenoiserStage = Stage


class RestorationStage(AnyStage):
    """The pyramid and the high-frequency restoration of Algorithm 2, trained with their backbone."""

    data: DataSection
    net: RestorationNetSection = RestorationNetSection()
    loss: LossSection = LossSection()
    details: bool = True
    """Whether the model makes use of its high-frequency restoration; the weights are kept anyway."""
    exits: Part = 0.2
    """Weight of the absolute error of what the backbone, or the conditions on it, would give alone."""


class SystemData(TilesSection):
    """What one of the papers' systems sees."""

    crop: Annotated[int, Field(ge=16, multiple_of=16)] = 96
    """Side of a crop of the truth, in pixels, whatever the scale."""


class SystemStage(AnyStage):
    """One of the papers' systems, and how it is trained."""

    data: SystemData
    kind: str
    """Which system."""
    preset: SystemPreset = "small"
    """The size of the paper, or the small one."""
    settings: dict[str, Any] = {}
    """What differs from the preset; all of it is stored with the weights."""
    features: str | None = None
    """Folder of the feature networks of perceptual losses, where the system has such."""

    @model_validator(mode="after")
    def _is_known(self) -> Self:
        if self.kind not in SYSTEMS:
            raise ValueError(f"there is no system {self.kind!r}: choose {', '.join(SYSTEMS)}")
        for scale in self.resolved.scales:
            if self.data.crop % (2 * scale):
                raise ValueError(f"data.crop is {self.data.crop}, no multiple of {2 * scale}")
        return self

    @property
    def system(self) -> System:
        """The system."""
        return SYSTEMS[self.kind]

    @property
    def resolved(self) -> SystemSettings:
        """The settings that it is trained with."""
        return self.system.with_changes(self.preset, self.settings)


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


class OperatorStage(AnyStage):
    """A neural operator, trained at continuous scales."""

    data: ContinuousData
    net: OperatorConfig = OperatorConfig()
    encoder_from: str | None = None
    """Model whose backbone's first layers the encoder starts from; of the same size."""
    loss: Literal["absolute", "log-squared"] = "absolute"
    """The mean absolute error (SRNO's), or the logarithm of the mean squared error, which is PSNR's: it counts a
    decibel at a small scale, where errors are small, like one at a large scale."""


class GridDenoiserStage(AnyStage):
    """The denoiser that a neural operator guides."""

    data: ContinuousData
    net: NetSection
    features: Annotated[int, Field(ge=0)] = 8
    """Channels of the operator that it is told beside the image; 0 for the image alone."""
    prediction: Literal["eps", "v", "x0"] = "v"
    """What it learns to say."""


class PixelDenoiserStage(AnyStage):
    """The paper's denoiser, which is shown the operator's image in pixels."""

    data: ContinuousData
    net: PixelDenoiserConfig = PixelDenoiserConfig()


class _AnyRecipe(_Section):
    """What all recipes have."""

    name: str
    """Name of the model that the recipe makes."""
    licence: str
    """Licence of the weights."""
    trained_on: str
    """The data, in words."""

    @property
    def stages(self) -> dict[str, AnyStage]:
        """The stages by name, in the order they are trained in."""
        values = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: value for name, value in values.items() if isinstance(value, AnyStage)}

    def capped(self, steps: int) -> Self:
        """The same recipe with so many steps a stage at most: a rehearsal."""
        return self.model_copy(
            update={name: stage.capped(steps) for name, stage in self.stages.items()}
        )


class SystemRecipe(_AnyRecipe):
    """A model whose backbone is one of the papers' systems."""

    system: SystemStage


class OperatorRecipe(_AnyRecipe):
    """NeurOp-Diff: a neural operator, and the denoiser that it guides."""

    operator: OperatorStage
    denoiser: GridDenoiserStage | None = None
    pixel_denoiser: PixelDenoiserStage | None = None
    """The paper's denoiser instead of ours."""

    @model_validator(mode="after")
    def _denoisers_exclude_each_other(self) -> Self:
        if self.denoiser is not None and self.pixel_denoiser is not None:
            raise ValueError("give denoiser or pixel_denoiser, not both")
        return self

    @field_validator("denoiser")
    @classmethod
    def _denoiser_has_three_runs(cls, stage: GridDenoiserStage | None) -> GridDenoiserStage | None:
        if stage is not None and len(stage.net.blocks) != 3:
            raise ValueError(f"net.blocks must list 3 numbers, but lists {len(stage.net.blocks)}")
        return stage


class Recipe(_AnyRecipe):
    """A model: its backbone first, then what restores details around it, then the denoiser.

    Without a restoration stage the model is Algorithm 1, with one it is Algorithm 2.
    """

    backbone: Stage
    restoration: RestorationStage | None = None
    backbone_x4: Stage | None = None
    """A backbone that makes the last two levels at once, where there is no reference. Without ``start_from`` it
    starts with the layers of the x2 backbone, of whose width it has to be."""
    denoiser: DenoiserStage

    @field_validator("backbone", "backbone_x4")
    @classmethod
    def _backbone_has_one_run(cls, stage: Stage | None) -> Stage | None:
        return None if stage is None else _with_blocks(stage, 1)

    @model_validator(mode="after")
    def _x4_can_start(self) -> Self:
        stage = self.backbone_x4
        if stage is None:
            return self
        if stage.data.depths[2]:
            raise ValueError(
                "backbone_x4: data.depths must end in 0: a tile shows no image that two levels made of one four "
                "times coarser than it"
            )
        if isinstance(stage.data.coarser, tuple) and len(stage.data.coarser) > 2:
            raise ValueError(
                "backbone_x4: data.coarser takes two numbers at most: of a tile reduced by 8, too little is left"
            )
        if stage.start_from is not None:
            return self
        (ours,), (theirs,) = stage.net.blocks, self.backbone.net.blocks
        if stage.net.width != self.backbone.net.width or ours < theirs:
            raise ValueError(
                f"backbone_x4 starts with the x2 backbone: its net needs width {self.backbone.net.width} and "
                f"{theirs} blocks or more"
            )
        return self

    @field_validator("denoiser")
    @classmethod
    def _denoiser_has_three_runs(cls, stage: Stage) -> Stage:
        # Found here rather than after the backbone has been trained.
        if "loss" in stage.model_fields_set:
            raise ValueError(
                "loss belongs to the backbone: a denoiser is trained by denoising alone"
            )
        return _with_blocks(stage, 3)


AnyRecipe = SystemRecipe | OperatorRecipe | Recipe
"""A recipe of any kind."""


def _with_blocks(stage: Stage, count: int) -> Stage:
    found = len(stage.net.blocks)
    if found != count:
        raise ValueError(f"net.blocks must list {count} number(s) here, but lists {found}")
    return stage


def find_recipe(name: str | Path) -> Path:
    """The file of a recipe: a path, or the name of one that comes with ultrares.

    Raises:
        OptionError: There is neither.
    """
    path = Path(name)
    if path.suffix == ".toml" or path.is_file():
        return path
    for shelf in SHELVES:
        shelved = shelf / f"{name}.toml"
        if shelved.is_file():
            return shelved
    known = sorted({file.stem for shelf in SHELVES for file in shelf.glob("*.toml")})
    raise OptionError(
        f"no recipe is called {str(name)!r}: pass a TOML file, or one of {', '.join(known)}"
    )


def read_recipe(path: Path) -> Recipe:
    """Read the TOML recipe of one of our own models.

    Raises:
        OptionError: The file is missing, is no TOML, holds a wrong or unknown key, or is of a system.
    """
    recipe = read_any_recipe(path)
    if not isinstance(recipe, Recipe):
        raise OptionError(f"recipe {path} is of a system or an operator, not of a cascade of ours")
    return recipe


def read_any_recipe(path: Path) -> AnyRecipe:
    """Read a TOML recipe.

    With a section ``system`` it is of one of the papers' systems, with ``operator`` of NeurOp-Diff, and else
    of a cascade.

    Raises:
        OptionError: The file is missing, is no TOML, or holds a wrong or unknown key.
    """
    try:
        given = tomllib.loads(path.read_text())
        kinds: dict[str, type[AnyRecipe]] = {"system": SystemRecipe, "operator": OperatorRecipe}
        kind = next((kinds[section] for section in kinds if section in given), Recipe)
        return kind.model_validate(given)
    except OSError as error:
        raise OptionError(f"recipe {path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise OptionError(f"recipe {path} is not valid TOML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        what = first["msg"].removeprefix("Value error, ")
        raise OptionError(f"recipe {path}: {where}: {what}") from error
