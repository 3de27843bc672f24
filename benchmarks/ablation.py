"""What each part of the method is worth: the same task with parts left out, at x8 unless told otherwise.

The protocol, the figures and their columns are those of `quality.py`. A configuration without a reference is
measured without; those with one get the same place in 2018.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Protocol

import numpy as np
import torch
import typer
from cases import Case, cases
from imagery import command, header, row
from scoring import COLUMNS, Method, Scorer, cells

import ultrares
from ultrares.api import Model
from ultrares.errors import UltraresError
from ultrares.methods.csp_wavediffur import Part
from ultrares.types import Mode


@dataclass(frozen=True)
class Configuration:
    """One row: the name that the method knows, what is printed, and whether 2018 is given."""

    name: str
    words: str
    reference: bool


CONFIGURATIONS = (
    Configuration("algorithm-1", "Algorithm 1", reference=False),
    Configuration("model-1", "Model 1: condition pyramid only", reference=True),
    Configuration("model-2", "Model 2: high-frequency branch only", reference=False),
    Configuration("proposed-1", "Proposed 1: both, in one step", reference=True),
    Configuration("proposed-2", "Proposed 2: both, in a cascade", reference=True),
    Configuration("alone-1", "both, in one step, no reference", reference=False),
    Configuration("alone", "both, in a cascade, no reference", reference=False),
)


SWITCHES: dict[str, tuple[Part, bool]] = {
    "algorithm-1": ("baseline", False),
    "model-1": ("model-1", False),
    "model-2": ("model-2", False),
    "proposed-1": ("proposed", True),
    "proposed-2": ("proposed", False),
    "alone": ("proposed", False),
    "alone-1": ("proposed", True),
}
"""Which parts are on, and whether the scale is reached in one step."""


class Configured(Protocol):
    """A model with parts switched off; it upscales as :meth:`ultrares.api.Model.upscale` does."""

    def upscale(
        self,
        image: np.ndarray,
        *,
        scale: float,
        sensor: str,
        mode: Mode,
        reference: np.ndarray | None,
    ) -> np.ndarray:
        """Return the image ``scale`` times finer."""


def configured(model: Model, name: str) -> Configured:
    """The hook: the one place where this benchmark meets the method's switches.

    Raises:
        OptionError: This version has no switches.
    """
    part, one_step = SWITCHES[name]
    return model.with_parts(part, one_step=one_step)


def prepared(model: Model, one: Configuration, mode: Mode) -> Method:
    """One configuration as a method that cases are given to."""
    switched = configured(model, one.name)

    def method(case: Case) -> np.ndarray:
        return switched.upscale(
            case.coarse,
            scale=case.scale,
            sensor=case.sensor.name,
            mode=mode,
            reference=case.reference if one.reference else None,
        )

    return method


def line(
    model: Model, one: Configuration, mode: Mode, tasks: Sequence[Case], scorer: Scorer
) -> list[str]:
    """The cells of a row, or why there are none."""
    try:
        return cells(scorer.measure(one.name, prepared(model, one, mode), tasks))
    except UltraresError as error:
        return [str(error), *[""] * (len(COLUMNS) - 1)]


def main(
    scale: Annotated[int, typer.Option(help="Scale.")] = 8,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first tiles.")] = None,
    sensor: Annotated[str, typer.Option(help="Sensor model of input and result.")] = "bicubic",
    mode: Annotated[Mode, typer.Option(help="How the model solves.")] = "fidelity",
    model: Annotated[
        str | None, typer.Option(help="A model; the default one if not given.")
    ] = None,
) -> None:
    """Print the quality of each configuration of a model."""
    loaded, tasks, scorer = ultrares.load(model), cases(scale, sensor, limit), Scorer(None)
    print(
        f"{loaded.name}, x{scale}, {len(tasks)} tiles, sensor {sensor}, mode {mode}, "
        f"{torch.get_num_threads()} threads\n"
    )
    header("configuration", *COLUMNS)
    for one in CONFIGURATIONS:
        row(one.words, *line(loaded, one, mode, tasks, scorer))


if __name__ == "__main__":
    command(main)
