"""A training recipe: everything that decides what a model becomes, checked when it is read."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from ultrares.errors import OptionError
from ultrares.sensor.models import parse_sensor

Share = Annotated[float, Field(ge=0, le=1)]
Part = Annotated[float, Field(ge=0)]
Weight = Annotated[float, Field(gt=0)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DataSection(_Section):
    """What the model sees."""

    pattern: str = "*.tif"
    """Files of the data folder that are tiles."""
    sensors: Annotated[dict[str, Weight], Field(min_length=1)]
    """Sensor models and how often each is drawn."""
    depths: tuple[Part, Part, Part]
    """How often an input stands at depth 0, 1 and 2 of a cascade."""
    crop: Annotated[int, Field(ge=8, multiple_of=4)] = 48
    """Side of an input crop, in pixels."""
    batch: Annotated[int, Field(ge=1)] = 16
    """Crops in a step."""
    any_bands: Share = 0.2
    """Share of batches of three arbitrary bands instead of RGB."""
    coarser: Share = 0.3
    """Share of batches at the second, coarser ground sampling distance."""

    @field_validator("sensors")
    @classmethod
    def _are_known(cls, sensors: dict[str, float]) -> dict[str, float]:
        for name in sensors:
            parse_sensor(name)
        return sensors

    @field_validator("depths")
    @classmethod
    def _are_drawn(cls, depths: tuple[float, float, float]) -> tuple[float, float, float]:
        if not any(depths):
            raise ValueError("at least one depth needs a share above 0")
        return depths


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


class Stage(_Section):
    """One network and how it is trained."""

    seed: int = 0
    """Seed of initial weights and of every draw."""
    data: DataSection
    net: NetSection
    optimiser: OptimiserSection


class Recipe(_Section):
    """A model: its backbone first, then the denoiser around it."""

    name: str
    """Name of the model that the recipe makes."""
    licence: str
    """Licence of the weights."""
    trained_on: str
    """The data, in words."""
    backbone: Stage
    denoiser: Stage

    @field_validator("backbone")
    @classmethod
    def _backbone_has_one_run(cls, stage: Stage) -> Stage:
        return _with_blocks(stage, 1)

    @field_validator("denoiser")
    @classmethod
    def _denoiser_has_three_runs(cls, stage: Stage) -> Stage:
        # Found here rather than after the backbone has been trained.
        return _with_blocks(stage, 3)


def _with_blocks(stage: Stage, count: int) -> Stage:
    found = len(stage.net.blocks)
    if found != count:
        raise ValueError(f"net.blocks must list {count} number(s) here, but lists {found}")
    return stage


def read_recipe(path: Path) -> Recipe:
    """Read a TOML recipe.

    Raises:
        OptionError: The file is missing, is no TOML, or holds a wrong or unknown key.
    """
    try:
        return Recipe.model_validate(tomllib.loads(path.read_text()))
    except OSError as error:
        raise OptionError(f"recipe {path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise OptionError(f"recipe {path} is not valid TOML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        what = first["msg"].removeprefix("Value error, ")
        raise OptionError(f"recipe {path}: {where}: {what}") from error
