"""A training recipe: everything that decides what a model becomes, checked when it is read."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ultrares.errors import OptionError


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DataSection(_Section):
    """What the model sees."""

    pattern: str = "*.tif"
    """Files of the data folder that are tiles."""
    sensors: dict[str, float]
    """Sensor models and how often each is drawn."""
    depths: tuple[float, float, float]
    """How often an input stands at depth 0, 1 and 2 of a cascade."""
    crop: Annotated[int, Field(ge=8, multiple_of=4)] = 48
    """Side of an input crop, in pixels."""
    batch: Annotated[int, Field(ge=1)] = 16
    """Crops in a step."""
    any_bands: Annotated[float, Field(ge=0, le=1)] = 0.2
    """Share of batches of three arbitrary bands instead of RGB."""
    coarser: Annotated[float, Field(ge=0, le=1)] = 0.3
    """Share of batches at the second, coarser ground sampling distance."""


class NetSection(_Section):
    """How large the network is."""

    width: Annotated[int, Field(ge=8)] = 64
    """Channels."""
    blocks: Annotated[list[int], Field(min_length=1, max_length=3)]
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


def read_recipe(path: Path) -> Recipe:
    """Read a TOML recipe.

    Raises:
        OptionError: The file is missing, is no TOML, or holds a wrong or unknown key.
    """
    try:
        return Recipe.model_validate(tomllib.loads(path.read_text()))
    except OSError as error:
        raise OptionError(f"recipe {path} cannot be read: {error.strerror}") from error
    except tomllib.TOMLDecodeError as error:
        raise OptionError(f"recipe {path} is not valid TOML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise OptionError(f"recipe {path}: {where}: {first['msg']}") from error
