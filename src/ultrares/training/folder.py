"""The folder of a training run: begun once, gone on with on request, never mixed with another."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from ultrares.errors import OptionError
from ultrares.training.recipe import AnyRecipe

Existing = Literal["refuse", "resume", "restart"]
"""What to do with a run that the folder holds already."""

BEGUN_WITH = "recipe.json"
MODEL = "model"


def begin(out: Path, recipe: AnyRecipe, existing: Existing) -> None:
    """Make a folder ready for a run of a recipe.

    Args:
        out: The folder; it may hold other files, which are left alone.
        recipe: As it will be run.
        existing: What to do with a run that is there.

    Raises:
        OptionError: A run is there and is not to be touched, or is of another recipe than the one to resume.
    """
    note = out / BEGUN_WITH
    if note.exists() and existing == "refuse":
        raise OptionError(
            f"{out} holds a training run already: pass --resume to go on with it, --restart to begin "
            "again, or another --out"
        )
    if note.exists() and existing == "resume":
        _refuse_another(out, recipe)
        return
    if note.exists():
        # What a run makes, by name: the folder may hold more than a run.
        for name in (*recipe.stages, MODEL):
            shutil.rmtree(out / name, ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)
    note.write_text(recipe.model_dump_json(indent=2, exclude_unset=True) + "\n")


def _refuse_another(out: Path, recipe: AnyRecipe) -> None:
    """A resumed run is the uninterrupted one only if nothing that decides it has changed."""
    try:
        begun = type(recipe).model_validate_json((out / BEGUN_WITH).read_text())
    except ValidationError as error:
        raise OptionError(
            f"{out / BEGUN_WITH} is damaged, so the run cannot be resumed: pass --restart or another --out"
        ) from error
    if begun.stages.keys() != recipe.stages.keys():
        raise OptionError(
            f"{out} was begun with the stages {', '.join(begun.stages)}, and the recipe has {', '.join(recipe.stages)}: "
            "resume with the same, or pass --restart or another --out"
        )
    for name, stage in recipe.stages.items():
        before, now = begun.stages[name].model_dump(), stage.model_dump()
        for section, value in now.items():
            # Another phase behind those that there were changes nothing of what was made.
            same = value[: len(before[section])] if section == "then" else value
            if before[section] != same:
                raise OptionError(
                    f"{out} was begun with another recipe (or --steps): {name}.{section} differs; "
                    "resume with the same, or pass --restart or another --out"
                )
