"""A training recipe: everything that decides what a model becomes, checked when it is read."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Self

from pydantic import ValidationError, field_validator, model_validator

from ultrares.errors import OptionError
from ultrares.training.sections import Section
from ultrares.training.stages import (
    AnyStage,
    DenoiserStage,
    FusionStage,
    GridDenoiserStage,
    OperatorStage,
    PixelDenoiserStage,
    RestorationStage,
    Stage,
    SystemStage,
)

SHELVES = (Path(__file__).parents[1] / "recipes", Path(__file__).parents[3] / "recipes")
"""Where recipes are kept that have a name: in the package, and beside it in a checkout."""


class _AnyRecipe(Section):
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
        """The same recipe with so many steps at most, each time that a stage trains: a rehearsal."""
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
    fusion: FusionStage | None = None
    """What brings references to the scene's date before the restoration's pyramid sees them."""
    backbone_x4: Stage | None = None
    """A backbone that makes the last two levels at once, where there is no reference. Without ``start_from`` it
    starts with the layers of the x2 backbone, of whose width it has to be."""
    denoiser: DenoiserStage

    @field_validator("backbone", "backbone_x4")
    @classmethod
    def _backbone_has_one_run(cls, stage: Stage | None) -> Stage | None:
        return None if stage is None else _with_blocks(stage, 1)

    @model_validator(mode="after")
    def _fused_references_are_used(self) -> Self:
        if self.fusion is not None and self.restoration is None:
            raise ValueError(
                "fusion: references are made use of by the pyramid of a restoration, and there is none"
            )
        return self

    @model_validator(mode="after")
    def _x4_can_start(self) -> Self:
        stage = self.backbone_x4
        if stage is None:
            return self
        if any(phase.data.depths[2] for phase in stage.phases):
            raise ValueError(
                "backbone_x4: data.depths must end in 0: a tile shows no image that two levels made of one four "
                "times coarser than it"
            )
        coarser = [phase.data.coarser for phase in stage.phases]
        if any(isinstance(shares, tuple) and len(shares) > 2 for shares in coarser):
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
        if any("loss" in phase.model_fields_set for phase in stage.phases):
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
