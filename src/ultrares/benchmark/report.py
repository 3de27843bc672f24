"""The report of a plan: one page that needs nothing but itself."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import torch

import ultrares
from ultrares.benchmark import charts
from ultrares.benchmark.baselines import BASELINES
from ultrares.benchmark.claims import Answer, answers
from ultrares.benchmark.panels import Panel, panel, read_picture
from ultrares.benchmark.pictures import TRUTH, Pictures
from ultrares.benchmark.plan import Plan
from ultrares.benchmark.published import published
from ultrares.benchmark.results import RESULTS, Key, Result
from ultrares.benchmark.runner import rows_of
from ultrares.benchmark.summary import SPEED, Summary
from ultrares.benchmark.tables import (
    Table,
    as_printed,
    beside,
    name_of,
    number,
    shown_metrics,
    tables_of,
)
from ultrares.data.catalogue import data_set
from ultrares.errors import OutputError
from ultrares.metrics.definitions import define

REPORT = "report.html"
TEMPLATE = Path(__file__).with_name("report.html.j2")
MEAN_IMAGE = next(iter(BASELINES))
FEWEST_POINTS = 3
"""Scales that make a curve."""


@dataclass(frozen=True)
class Chart:
    """A drawing and what it shows, for those who do not see it."""

    uri: str
    words: str


@dataclass(frozen=True)
class Section:
    """What was measured on one data set, against true or against pseudo truths.

    Attributes:
        title: Of the section.
        protocol: How the cases were made, sentences.
        tables: Means.
        charts: Curves over the scale and distributions.
        panels: Pictures.
    """

    title: str
    protocol: tuple[str, ...]
    tables: tuple[Table, ...]
    charts: tuple[Chart, ...]
    panels: tuple[Panel, ...]


def write_report(plan: Plan, rows: Sequence[Result], folder: Path) -> Path:
    """Write report.html beside the results.

    Args:
        plan: What was measured.
        rows: All rows.
        folder: Where results and pictures are.

    Raises:
        MissingExtraError: A package that reports need is not installed.
        OutputError: The disk is full or gone.
    """
    charts.check_can_draw()
    page = render(plan, rows, folder)
    path = folder / REPORT
    part = path.with_suffix(".part")
    try:
        part.write_text(page, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}") from error
    return path


def render(plan: Plan, rows: Sequence[Result], folder: Path) -> str:
    """The page as text."""
    from jinja2 import Environment, StrictUndefined

    everything = Summary(rows)
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        plan=plan,
        made=_made(),
        rows_file=RESULTS,
        answers=answers_of(plan, rows),
        absent=[(row.key.data, row.problem) for row in rows if not row.key.image],
        idle=_not_run(rows),
        sections=list(_sections(plan, everything, Pictures(folder))),
        models=_models(plan, everything),
        parameters=_parameters(everything),
        pairs=_published(plan, everything),
        definitions=_definitions(plan),
    )


def answers_of(plan: Plan, rows: Sequence[Result]) -> list[Answer]:
    """The papers' claims, if the plan is made for them."""
    return [] if plan.claims is None else answers(plan, rows)


def _made() -> str:
    """When and by what the page was made."""
    day = datetime.now(UTC).strftime("%Y-%m-%d")
    cores = os.cpu_count()
    return (
        f"{day}, ultrares {ultrares.__version__}, torch {version('torch')}, Python "
        f"{platform.python_version()}, {torch.get_num_threads()} threads of {cores} cores"
    )


def _not_run(rows: Sequence[Result]) -> list[tuple[str, str]]:
    """Methods without a figure, and why."""
    measured = {row.key.label for row in rows if not row.problem}
    found = {row.key.label: row.problem for row in rows if row.problem and row.key.label}
    return [(label, problem) for label, problem in found.items() if label not in measured]


def _sections(plan: Plan, summary: Summary, pictures: Pictures) -> Iterator[Section]:
    for entry in plan.data:
        for pseudo in (False, True):
            part = _part(summary, entry.name, pseudo=pseudo)
            if part.measured:
                title = data_set(entry.name).title
                yield Section(
                    f"{title}, {'against pseudo truths *' if pseudo else 'against the truth'}",
                    _protocol(plan, entry.name, part, pseudo=pseudo),
                    tuple(tables_of(plan, part)),
                    (*_curves(plan, part), *_distributions(plan, part, pictures)),
                    tuple(_panels(plan, part, pictures)),
                )


def _part(summary: Summary, data: str, *, pseudo: bool) -> Summary:
    """The rows of a data set on one kind of truth; where there are no figures, the reasons belong to both."""
    return summary.where(
        lambda row: row.key.data == data and (row.pseudo == pseudo or bool(row.problem))
    )


def _protocol(plan: Plan, data: str, part: Summary, *, pseudo: bool) -> tuple[str, ...]:
    sizes = sorted({(row.key.scale, row.coarse_side, row.fine_side) for row in part.measured})
    steps = ", ".join(f"x{scale:g} {coarse} to {fine}" for scale, coarse, fine in sizes)
    sentences = [
        f"Places: {part.images}; {data_set(data).split}.",
        f"Sides in pixels: {steps}. The truth is reduced by the sensor model {plan.sensor} and rounded.",
    ]
    if pseudo:
        sentences.append(
            "These truths are bicubic enlargements, because the images end at a smaller size: they reward "
            "smoothness, and are never averaged with true ones."
        )
    if any(row.reference == "leak" for row in part.measured):
        sentences.append(
            "Rows with reference leak have seen the truth at 1.5 times the coarse resolution; they are "
            "compared with the others at the reader's risk, and no best figure is taken from them."
        )
    return tuple(sentences)


def _labels(plan: Plan, summary: Summary) -> list[str]:
    """Methods with figures, in the order of the tables."""
    measured = {row.key.label for row in summary.measured}
    return [row.label for row in rows_of(plan) if row.label in measured]


def _curves(plan: Plan, part: Summary) -> Iterator[Chart]:
    if len(part.scales) < FEWEST_POINTS:
        return
    for metric in [*shown_metrics(plan), SPEED]:
        lines = {}
        for label in _labels(plan, part):
            means = [(scale, part.mean(label, metric, scale)) for scale in part.scales]
            points = [(scale, mean.value) for scale, mean in means if mean.value == mean.value]
            if points:
                lines[label] = points
        if lines:
            yield Chart(charts.curves(lines, name_of(metric)), _in_words(metric, lines))


def _in_words(metric: str, lines: dict[str, list[tuple[float, float]]]) -> str:
    ends = "; ".join(
        f"{label}: {number(points[0][1])} at x{points[0][0]:g}, "
        f"{number(points[-1][1])} at x{points[-1][0]:g}"
        for label, points in lines.items()
    )
    return f"{name_of(metric)} over the scale. {ends}."


def _distributions(plan: Plan, part: Summary, pictures: Pictures) -> Iterator[Chart]:
    """As Figures 8 and 9 of the paper: of the kept pictures."""
    if "histogram_distance" not in plan.metrics:
        return
    for key in _pictured(plan, part):
        # The mean image is a single peak, beside which nothing else can be seen.
        names = [TRUTH, *(label for label in _labels(plan, part) if label != MEAN_IMAGE)]
        paths = {name: pictures.path(_with_label(key, name)) for name in names}
        images = {name: read_picture(path) for name, path in paths.items() if path.is_file()}
        if TRUTH in images:
            words = (
                f"Distribution of values in red, green and blue of the middle of {key.image} at "
                f"x{key.scale:g}, for {', '.join(images)}; the distances stand in the tables."
            )
            yield Chart(charts.distributions(images), words)


def _panels(plan: Plan, part: Summary, pictures: Pictures) -> Iterator[Panel]:
    metric = plan.metrics[0]

    for key in _pictured(plan, part):
        values = {
            row.key.label: row.values.get(metric)
            for row in part.measured
            if _with_label(row.key, "") == key
        }

        def note(label: str, values: dict[str, float | None] = values) -> str:
            value = values.get(label)
            return "" if value is None else f"{name_of(metric).partition(' (')[0]}: {value:.4g}"

        found = panel(pictures, key, _labels(plan, part), note)
        if found is not None:
            yield found


def _pictured(plan: Plan, part: Summary) -> list[Key]:
    """Images and scales whose pictures may be there."""
    keys = {_with_label(row.key, "") for row in part.measured if row.key.scale in plan.pictured}
    return sorted(keys, key=lambda key: (key.image, key.scale))


def _with_label(key: Key, label: str) -> Key:
    return Key(key.data, key.image, key.scale, label)


def _models(plan: Plan, summary: Summary) -> list[tuple[str, str, str, str, str]]:
    """What each row of the tables is: model, role, reference and mode, and the number of weights."""
    found = []
    for row in rows_of(plan):
        if row.entry is None:
            found.append((row.label, "mandatory row", "none", "", "0"))
            continue
        entry = row.entry
        counts = {r.parameters for r in summary.measured if r.key.label == row.label}
        words = f"{max(counts):,}" if counts else "not run"
        found.append(
            (row.label, f"{entry.model}, {entry.role}", entry.reference, entry.mode, words)
        )
    return found


def _parameters(summary: Summary) -> Chart | None:
    """As Figure 14 a) of the paper."""
    counts = {
        row.model: row.parameters / 1e6
        for row in sorted(summary.measured, key=lambda row: row.parameters)
        if row.parameters
    }
    if not counts:
        return None
    words = "; ".join(f"{model}: {count:.3g}" for model, count in counts.items())
    return Chart(charts.bars(counts, "parameters, millions"), f"Parameters in millions: {words}.")


def _published(plan: Plan, summary: Summary) -> list[tuple[Table, Table | None]]:
    """Published tables, and ours beside them, on true truths."""
    true = summary.where(lambda row: not row.pseudo)
    return [(as_printed(each), beside(plan, true, each)) for each in published(plan.published)]


def _definitions(plan: Plan) -> list[tuple[str, str]]:
    settings = {
        "peak": "255",
        "scale": "the scale",
        "sensor": plan.sensor,
        "tile": "-",
        "period": "-",
        "niqe": "the weights' folder",
    }
    return [(name_of(name), define(name, settings)) for name in shown_metrics(plan)]
