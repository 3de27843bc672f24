"""Tables of a report: means over images, method by method."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ultrares.benchmark.plan import Plan
from ultrares.benchmark.published import PublishedTable
from ultrares.benchmark.runner import rows_of
from ultrares.benchmark.summary import SPEED, Summary
from ultrares.metrics.definitions import DEFINITIONS

OF_TRUTH = {"ag": "ag_true", "niqe": "niqe_true"}
"""Figures that the truth has too."""
LEAKS = ("leak",)


@dataclass(frozen=True)
class Cell:
    """A figure as it is printed.

    Attributes:
        text: The figure, or a dash.
        best: Whether no other method without a leak has a better one.
    """

    text: str
    best: bool = False


@dataclass(frozen=True)
class Line:
    """A row of a table.

    Attributes:
        label: The method.
        cells: Its figures; none where it was not run.
        problem: Why it was not run, or nothing.
    """

    label: str
    cells: tuple[Cell, ...]
    problem: str = ""


@dataclass(frozen=True)
class Table:
    """A table as it is printed.

    Attributes:
        title: What it shows.
        columns: Names of the columns.
        lines: Its rows.
        warnings: What speaks against it.
    """

    title: str
    columns: tuple[str, ...]
    lines: tuple[Line, ...]
    warnings: tuple[str, ...] = ()


def tables_of(plan: Plan, summary: Summary) -> list[Table]:
    """The tables of some rows: one of all metrics for a single scale, else one of all scales for each metric."""
    metrics = [*shown_metrics(plan), SPEED]
    if len(summary.scales) == 1:
        scale = summary.scales[0]
        columns = [(metric, scale) for metric in metrics]
        title = f"All metrics at x{scale:g}"
        return [_table(plan, summary, title, [name_of(m) for m in metrics], columns)]
    names = [f"x{scale:g}" for scale in summary.scales]
    return [
        _table(plan, summary, name_of(metric), names, [(metric, s) for s in summary.scales])
        for metric in metrics
    ]


def beside(plan: Plan, summary: Summary, printed: PublishedTable) -> Table | None:
    """Our figures in the columns of a published table, of the rows that stand for its methods."""
    meanings = [printed.meaning(column) for column in printed.columns]
    columns = [meaning for meaning in meanings if meaning is not None]
    if len(columns) < len(meanings):
        return None
    order = list(printed.rows)
    entries = [entry for entry in plan.models if entry.counterpart in printed.rows]
    entries.sort(key=lambda entry: order.index(entry.counterpart or ""))
    ours = [row.label for row in rows_of(plan) if row.entry is None]
    labels = [*ours, *(entry.label for entry in entries)]
    title = f"Measured here, {summary.images} other images: {printed.title.split(',')[0]}"
    if printed.metric is not None:
        title = f"Measured here, {summary.images} other images: {name_of(printed.metric)}"
    found = _table(plan, summary, title, printed.columns, columns, labels)
    return found if any(line.cells for line in found.lines) else None


def as_printed(printed: PublishedTable) -> Table:
    """A published table."""
    lines = tuple(
        Line(name, tuple(Cell("unreadable" if math.isnan(n) else f"{n:g}") for n in numbers))
        for name, numbers in printed.rows.items()
    )
    title = f"Published: {printed.paper}, {printed.where}: {printed.title}"
    return Table(title, printed.columns, lines, printed.warnings)


def shown_metrics(plan: Plan) -> list[str]:
    """The plan's metrics, and what some of them are read beside."""
    more = {"ag": ["ag", "ag_ratio"]}
    return [name for metric in plan.metrics for name in more.get(metric, [metric])]


def name_of(metric: str) -> str:
    """A metric with its unit and its better direction."""
    if metric == SPEED:
        return "CPU seconds a case (lower is better)"
    known = DEFINITIONS[metric]
    unit = f", {known.unit}" if known.unit else ""
    better = "" if known.better == "neither" else f" ({known.better} is better)"
    return f"{metric.upper().replace('_', ' ')}{unit}{better}"


def number(value: float) -> str:
    """A figure with four digits that count, or a dash."""
    return "-" if math.isnan(value) else f"{value:.4g}"


def _table(
    plan: Plan,
    summary: Summary,
    title: str,
    names: Sequence[str],
    columns: Sequence[tuple[str, float]],
    labels: Sequence[str] | None = None,
) -> Table:
    rows = [row for row in rows_of(plan) if labels is None or row.label in labels]
    means = {
        row.label: [summary.mean(row.label, metric, scale).value for metric, scale in columns]
        for row in rows
    }
    rivals = [
        means[row.label] for row in rows if row.entry is None or row.entry.reference not in LEAKS
    ]
    best = [
        _best(metric, [values[place] for values in rivals])
        for place, (metric, _) in enumerate(columns)
    ]
    lines = [_line(summary, row.label, means[row.label], best) for row in rows]
    lines = [_counted(summary, line, [scale for _, scale in columns]) for line in lines]
    return Table(title, tuple(names), (*lines, *_truth(summary, columns)))


def _line(
    summary: Summary, label: str, values: Sequence[float], best: Sequence[float | None]
) -> Line:
    if all(math.isnan(value) for value in values):
        reasons = [row.problem for row in summary.rows if row.key.label == label and row.problem]
        return Line(label, (), reasons[-1] if reasons else "no figures")
    cells = (
        Cell(number(value), best=value == top) for value, top in zip(values, best, strict=True)
    )
    return Line(label, tuple(cells))


def _counted(summary: Summary, line: Line, scales: Sequence[float]) -> Line:
    """A line that says so where its means rest on fewer images than others'."""
    places = {
        (row.key.data, row.key.image, row.key.scale)
        for row in summary.measured
        if row.key.scale in scales
    }
    images = len(places)
    found = sum(summary.mean(line.label, SPEED, scale).count for scale in set(scales))
    if not line.cells or found == images:
        return line
    return replace(line, label=f"{line.label} (only {found} of {images} images)")


def _truth(summary: Summary, columns: Sequence[tuple[str, float]]) -> tuple[Line, ...]:
    """What the truth itself has, where that is defined."""
    if not any(metric in OF_TRUTH for metric, _ in columns):
        return ()
    cells = []
    for metric, scale in columns:
        own = OF_TRUTH.get(metric)
        labels = {row.key.label for row in summary.measured if own in row.values}
        value = summary.mean(min(labels), own, scale).value if own and labels else math.nan
        cells.append(Cell(number(value)))
    return (Line("the truth itself", tuple(cells)),)


def _best(metric: str, values: Sequence[float]) -> float | None:
    """The best of some figures, where a direction is better."""
    found = [value for value in values if not math.isnan(value)]
    # Of the time, the mean image would be the best.
    better = DEFINITIONS[metric].better if metric in DEFINITIONS else "neither"
    if len(found) < 2 or better == "neither":
        return None
    if better == "nearer 1":
        return min(found, key=lambda value: abs(value - 1))
    return max(found) if better == "higher" else min(found)
