"""Runs a plan cell by cell; a run that was stopped goes on where it was."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path

from ultrares.benchmark.baselines import BASELINES
from ultrares.benchmark.cases import Bytes, Case, View, case_of, views
from ultrares.benchmark.methods import Method, Shelf, method_of
from ultrares.benchmark.pictures import Pictures
from ultrares.benchmark.plan import DataEntry, ModelEntry, Plan
from ultrares.benchmark.results import RESULTS, Key, Result, Results
from ultrares.data.catalogue import data_set
from ultrares.errors import InputError, MissingExtraError, ModelError, OptionError, UltraresError
from ultrares.metrics.comparison import score
from ultrares.metrics.suite import CONSISTENCY
from ultrares.sensor.models import parse_sensor

Progress = Callable[[int, int], None]

BASELINE = "baseline"
WARM_UP = 16
"""Side of the corner of a coarse image that every method is run on once, unmeasured: a first call allocates,
compiles and chooses kernels."""


@dataclass(frozen=True)
class Request:
    """What a run is asked for besides its plan.

    Attributes:
        data: The folder that data sets lie in.
        out: Where results go.
        models: A folder of models, if not only those that ``ultrares.load`` knows.
        weights: The folder of what LPIPS and NIQE need.
        limit: Images of each data set at most.
        scales: Only these scales.
    """

    data: Path
    out: Path
    models: Path | None = None
    weights: Path | None = None
    limit: int | None = None
    scales: tuple[float, ...] | None = None


@dataclass
class Tally:
    """What became of the cells of a run.

    Attributes:
        done: Computed now.
        kept: Done by an earlier run.
        failed: Without figures, for reasons that stand in their rows.
    """

    done: int = 0
    kept: int = 0
    failed: int = 0


@dataclass(frozen=True)
class Row:
    """One line of the tables: a baseline, or a model that is loaded when it is first needed."""

    label: str
    entry: ModelEntry | None = None


@dataclass
class Loaded:
    """The methods that were loaded so far, or why they could not be."""

    shelf: Shelf
    _methods: dict[str, Method | str] = field(default_factory=dict)
    _warm: set[str] = field(default_factory=set)

    def method(self, row: Row) -> Method | str:
        """The method of a row, or the sentence why there is none."""
        if row.label not in self._methods:
            self._methods[row.label] = self._load(row)
        return self._methods[row.label]

    def warm(self, row: Row, method: Method, case: Case) -> None:
        """Run a method once on a corner, if it has not run yet."""
        if row.label in self._warm or row.entry is None:
            return
        self._warm.add(row.label)
        small = case.coarse[:, :WARM_UP, :WARM_UP]
        side = round(small.shape[-1] * case.scale)
        method.solve(replace(case, coarse=small, truth=case.truth[:, :side, :side]))

    def _load(self, row: Row) -> Method | str:
        if row.entry is None:
            return Method(BASELINES[row.label])
        try:
            return method_of(row.entry, self.shelf)
        except (ModelError, MissingExtraError, OptionError) as error:
            return str(error)


@dataclass(frozen=True)
class Task:
    """The cells of one image at one scale."""

    view: View
    scale: float
    first: bool


def rows_of(plan: Plan) -> list[Row]:
    """The rows of every table: the mandatory ones, then the plan's."""
    return [
        *(Row(label) for label in BASELINES),
        *(Row(entry.label, entry) for entry in plan.models),
    ]


def run(plan: Plan, request: Request, progress: Progress | None = None) -> tuple[Results, Tally]:
    """Measure what is not measured yet, row by row.

    Args:
        plan: What is measured.
        request: On which files.
        progress: Called with the cells done and their total.

    Returns:
        All rows, those of earlier runs included, and what became of the cells of this one.

    Raises:
        InputError: No data set of the plan is there, or nothing is left of the scales.
        OutputError: The results cannot be kept, or the folder holds those of another plan.
    """
    plan = _without_tools(plan, request.weights)
    found, missing = _find(plan, request)
    tasks = [task for entry, places in found for task in _tasks(plan, entry, places, request)]
    if not tasks:
        raise InputError(
            f"plan {plan.name} has none of the scales that were asked for: choose of "
            + ", ".join(f"{scale:g}" for scale in plan.scales)
        )
    request.out.mkdir(parents=True, exist_ok=True)
    results = Results(request.out / RESULTS, plan)
    for name, problem in missing.items():
        results.append(Result(Key(name, "", 0, ""), problem=problem))
    going = _Run(plan, request, results)
    cells = list(product(tasks, rows_of(plan)))
    for number, (task, row) in enumerate(cells, start=1):
        going.cell(task, row)
        if progress is not None:
            progress(number, len(cells))
    return results, going.tally


def _without_tools(plan: Plan, weights: Path | None) -> Plan:
    """The plan without the figures that need files, if there are none."""
    if weights is not None:
        return plan
    lean = tuple(name for name in plan.metrics if name not in ("lpips", "niqe"))
    if not lean:
        raise OptionError(
            f"plan {plan.name} needs the weights of its metrics: pass --weights FOLDER"
        )
    return plan.model_copy(update={"metrics": lean})


def _find(
    plan: Plan, request: Request
) -> tuple[list[tuple[DataEntry, list[View]]], dict[str, str]]:
    """The places of each data set, and why some are not there."""
    found, missing = [], {}
    for entry in plan.data:
        try:
            pictures = data_set(entry.name).find(request.data)
        except InputError as error:
            missing[entry.name] = str(error)
        else:
            found.append((entry, views(entry, pictures, request.limit)))
    if not found:
        raise InputError(next(iter(missing.values())))
    return found, missing


def _tasks(
    plan: Plan, entry: DataEntry, places: Sequence[View], request: Request
) -> Iterator[Task]:
    """Image by image, so that a run that is stopped has compared all methods on the first ones."""
    scales = plan.scales_for(entry, request.scales)
    for index, view in enumerate(places):
        for scale in scales:
            yield Task(view, scale, first=index == 0)


class _Run:
    """A plan on its way.

    Attributes:
        tally: What became of the cells so far.
    """

    def __init__(self, plan: Plan, request: Request, results: Results) -> None:
        self._plan, self._request, self._results = plan, request, results
        self._loaded = Loaded(Shelf(request.data, request.models))
        self._sensor = parse_sensor(plan.sensor)
        self._last: tuple[Task, Case] | None = None
        self.tally = Tally()

    def cell(self, task: Task, row: Row) -> None:
        """Make one row, if it is not there yet."""
        key = Key(task.view.entry.name, task.view.name, task.scale, row.label)
        blank = _blank(key, row)
        method = self._loaded.method(row)
        if isinstance(method, str):
            self._results.append(replace(blank, problem=f"not run: {method}"))
            self.tally.failed += 1
            return
        stamp = f"{task.view.stamp} {method.weights}".strip()
        if self._results.known(key, stamp):
            self.tally.kept += 1
            return
        blank = replace(blank, parameters=method.parameters, stamp=stamp)
        try:
            result = self._measured(task, row, method, blank)
            self.tally.done += 1
        except UltraresError as error:
            result = replace(blank, problem=str(error))
            self.tally.failed += 1
        self._results.append(result)

    def _case(self, task: Task) -> Case:
        """The case of a task, kept for the rows that follow."""
        if self._last is None or self._last[0] is not task:
            self._last = task, case_of(task.view, task.scale, self._sensor)
        return self._last[1]

    def _measured(self, task: Task, row: Row, method: Method, blank: Result) -> Result:
        """Solve a case, and compare the result with the truth."""
        case = self._case(task)
        if row.entry is not None:
            # Reading and reducing a reference is no part of the method's time.
            case.reference(row.entry.reference)
        self._loaded.warm(row, method, case)
        clock, processor = time.perf_counter(), time.process_time()
        fine = method.solve(case)
        cpu_seconds, seconds = time.process_time() - processor, time.perf_counter() - clock
        if task.first and task.scale in self._plan.pictured:
            pictures = Pictures(self._request.out)
            pictures.keep(blank.key, fine)
            pictures.keep_case(blank.key, case)
        return replace(
            blank,
            pseudo=case.pseudo,
            coarse_side=case.coarse.shape[-1],
            fine_side=case.truth.shape[-1],
            cpu_seconds=cpu_seconds,
            seconds=seconds,
            values=_figures(self._plan, fine, case, self._request.weights),
        )


def _blank(key: Key, row: Row) -> Result:
    if row.entry is None:
        return Result(key, model=BASELINE, role=BASELINE, reference="none", mode="fidelity")
    entry = row.entry
    return Result(key, entry.model, entry.role, entry.reference, entry.mode)


def _figures(plan: Plan, fine: Bytes, case: Case, weights: Path | None) -> dict[str, float]:
    whole = case.scale == int(case.scale)
    wanted = [name for name in plan.metrics if whole or name != CONSISTENCY]
    scores = score(
        fine,
        case.truth,
        case.coarse if whole and CONSISTENCY in wanted else None,
        sensor=case.sensor,
        metrics=wanted,
        scale=case.scale,
        weights=weights if {"lpips", "niqe"} & set(wanted) else None,
    )
    return dict(scores.values)
