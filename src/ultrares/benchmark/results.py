"""Results on disk: one row a cell, written as soon as it is done."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ultrares.benchmark.plan import Plan
from ultrares.errors import OutputError
from ultrares.evaluation.folders import columns_of
from ultrares.evaluation.ledger import Ledger
from ultrares.metrics.suite import NAMES

RESULTS = "results.csv"
FIXED = (
    "plan",
    "data",
    "image",
    "scale",
    "label",
    "model",
    "role",
    "reference",
    "mode",
    "pseudo",
    "coarse_side",
    "fine_side",
    "parameters",
    "cpu_seconds",
    "seconds",
    "stamp",
)


@dataclass(frozen=True)
class Key:
    """Which cell a row is of.

    Attributes:
        data: The data set.
        image: The image; empty where a data set is not there.
        scale: The scale that the plan asks for.
        label: The row of the tables.
    """

    data: str
    image: str
    scale: float
    label: str


@dataclass(frozen=True)
class Result:
    """What one method made of one case.

    Attributes:
        key: Which cell.
        model: The model's name, or ``baseline``.
        role: How it reached the scale.
        reference: What it was given.
        mode: Mean or sample.
        pseudo: Whether the truth is an enlargement.
        coarse_side: Pixels along a side of the coarse image.
        fine_side: Pixels along a side of the fine one.
        parameters: Number of weights.
        cpu_seconds: Processor time of all threads.
        seconds: Time on the clock.
        stamp: State of the image's file and of the weights.
        values: Figures by name.
        problem: Why there are none; empty if there are.
    """

    key: Key
    model: str = ""
    role: str = ""
    reference: str = ""
    mode: str = ""
    pseudo: bool = False
    coarse_side: int = 0
    fine_side: int = 0
    parameters: int = 0
    cpu_seconds: float = math.nan
    seconds: float = math.nan
    stamp: str = ""
    values: dict[str, float] = field(default_factory=dict)
    problem: str = ""


class Results:
    """The rows of a plan's runs in a folder.

    Args:
        path: The CSV file.
        plan: What is measured.

    Raises:
        OutputError: The file cannot be read or written, or belongs to another plan.
    """

    def __init__(self, path: Path, plan: Plan) -> None:
        self._columns = _columns(plan)
        self._plan = f"{plan.name} {plan.digest}"
        self._rows: dict[Key, Result] = {}
        try:
            self._ledger = Ledger(path, [*FIXED, *self._columns, "problem"])
        except OutputError as error:
            if "no table of these metrics" not in str(error):
                raise
            raise OutputError(_of_another(path, plan)) from error
        for cells in self._ledger.rows:
            if cells["plan"] != self._plan:
                raise OutputError(_of_another(path, plan))
            result = self._read(path, cells)
            self._rows[result.key] = result

    @property
    def rows(self) -> list[Result]:
        """All rows, the last of each cell."""
        return list(self._rows.values())

    def known(self, key: Key, stamp: str) -> bool:
        """Whether a cell is done already, on the same image and with the same weights."""
        row = self._rows.get(key)
        return row is not None and not row.problem and row.stamp == stamp

    def append(self, result: Result) -> None:
        """Keep a row so that it outlives the process.

        Raises:
            OutputError: The disk is full or gone.
        """
        self._rows[result.key] = result
        key = result.key
        values = (result.values.get(name) for name in self._columns)
        self._ledger.append(
            [
                *(self._plan, key.data, key.image, f"{key.scale:g}", key.label),
                *(result.model, result.role, result.reference, result.mode),
                *("pseudo" if result.pseudo else "", result.coarse_side, result.fine_side),
                *(result.parameters, f"{result.cpu_seconds:.3f}", f"{result.seconds:.3f}"),
                result.stamp,
                *("" if value is None else str(float(value)) for value in values),
                result.problem,
            ]
        )

    def _read(self, path: Path, cells: dict[str, str]) -> Result:
        try:
            return Result(
                Key(cells["data"], cells["image"], float(cells["scale"]), cells["label"]),
                model=cells["model"],
                role=cells["role"],
                reference=cells["reference"],
                mode=cells["mode"],
                pseudo=bool(cells["pseudo"]),
                coarse_side=int(cells["coarse_side"]),
                fine_side=int(cells["fine_side"]),
                parameters=int(cells["parameters"]),
                cpu_seconds=float(cells["cpu_seconds"]),
                seconds=float(cells["seconds"]),
                stamp=cells["stamp"],
                values={name: float(cells[name]) for name in self._columns if cells[name]},
                problem=cells["problem"],
            )
        except (ValueError, KeyError) as error:
            raise OutputError(
                f"{path} has a line that is no row of results ({error}): choose another --out, or remove it"
            ) from error


def _columns(plan: Plan) -> list[str]:
    """The figures that rows have room for, with those of each band where histograms are compared."""
    wanted: Sequence[str] = [name for name in NAMES if name in plan.metrics]
    columns = list(columns_of(wanted))
    if "histogram_distance" in columns:
        columns += [f"histogram_distance_band_{band}" for band in (1, 2, 3)]
    return columns


def _of_another(path: Path, plan: Plan) -> str:
    return (
        f"{path} holds results of another plan, or of {plan.name} with another protocol: choose another "
        "--out, or remove it"
    )
