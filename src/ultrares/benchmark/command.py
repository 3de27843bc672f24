"""From a plan's name to its report: what the command line and Python call."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ultrares.benchmark.charts import check_can_draw
from ultrares.benchmark.plan import find_plan, read_plan
from ultrares.benchmark.published import published
from ultrares.benchmark.report import answers_of, write_report
from ultrares.benchmark.results import RESULTS
from ultrares.benchmark.runner import Progress, Request, run
from ultrares.errors import InputError, OptionError

METRICS = "metrics"
"""Folder of the data folder that holds the weights of LPIPS and NIQE."""


@dataclass(frozen=True)
class Outcome:
    """What a run has left.

    Attributes:
        report: The page.
        results: The rows.
        done: Cells measured now.
        kept: Cells of earlier runs.
        failed: Cells without figures, for reasons that stand in their rows.
        answers: The papers' claims, a line each, if the plan is made for them.
    """

    report: Path
    results: Path
    done: int
    kept: int
    failed: int
    answers: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """The same as plain values."""
        return {
            "report": str(self.report),
            "results": str(self.results),
            "measured": self.done,
            "kept": self.kept,
            "not_run": self.failed,
            "answers": list(self.answers),
        }


def benchmark(
    plan: str | Path,
    data: str | Path,
    out: str | Path | None = None,
    *,
    models: str | Path | None = None,
    weights: str | Path | None = None,
    limit: int | None = None,
    scales: tuple[float, ...] | None = None,
    progress: Progress | None = None,
) -> Outcome:
    """Measure a plan, going on where an earlier run was stopped, and write its report.

    Args:
        plan: A TOML file, or the name of a plan that comes with ultrares.
        data: The folder that data sets lie in.
        out: Where results.csv, report.html and pictures go; ``benchmark/NAME`` if not given.
        models: A folder of models, each NAME or NAME/model, looked into before the known places.
        weights: What LPIPS and NIQE need; ``metrics`` in the data folder, if it is there.
        limit: Images of each data set at most.
        scales: Only these scales of the plan.
        progress: Called with the cells done and their total.

    Raises:
        OptionError: There is no such plan, or it is wrong.
        InputError: A folder is not there, or nothing can be measured.
        OutputError: The results cannot be kept, or the folder holds those of another plan.
        MissingExtraError: A package that reports need is not installed.
    """
    check_can_draw()
    read = read_plan(find_plan(plan))
    published(read.published)
    for name, folder in (("--data", data), ("--models", models), ("--weights", weights)):
        if folder is not None and not Path(folder).is_dir():
            raise InputError(f"{folder} is no folder: pass one that exists as {name}")
    if limit is not None and limit < 1:
        raise OptionError(f"limit is {limit}: pass a whole number of at least 1")
    beside = Path(data) / METRICS
    request = Request(
        Path(data),
        Path("benchmark") / read.name if out is None else Path(out),
        None if models is None else Path(models),
        Path(weights) if weights is not None else beside if beside.is_dir() else None,
        limit,
        scales,
    )
    results, tally = run(read, request, progress)
    report = write_report(read, results.rows, request.out)
    lines = tuple(str(answer) for answer in answers_of(read, results.rows))
    rows = request.out / RESULTS
    return Outcome(report, rows, tally.done, tally.kept, tally.failed, lines)
