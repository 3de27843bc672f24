"""The six claims of the WaveDiffUR paper, each answered by a figure and yes or no from measured rows.

Compared are the same images at the same scales, on true truths only. PSNR in decibels decides, for the relation of
the paper's SRE to anything is not known; ours is given beside it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ultrares.benchmark.plan import ModelEntry, Plan
from ultrares.benchmark.results import Result
from ultrares.benchmark.summary import SPEED, Place, Summary, mean
from ultrares.types import Mode

Verdict = Literal["yes", "no", "not measured"]

LARGE, SPEEDY, FIRST, LAST = 32.0, 16.0, 4.0, 128.0
"""The scales that the claims speak of."""
AG_LIMIT, NIQE_LIMIT = 0.191, 0.118


@dataclass(frozen=True)
class Answer:
    """What was found about a claim.

    Attributes:
        number: Of the claim.
        claim: What the paper says, in a line.
        verdict: Whether it holds here.
        figures: What that rests on, a sentence each.
    """

    number: int
    claim: str
    verdict: Verdict
    figures: tuple[str, ...]

    def __str__(self) -> str:
        """The answer in a line."""
        return f"claim {self.number}: {self.verdict}; {self.claim}: {' '.join(self.figures)}"


@dataclass(frozen=True)
class Measured:
    """What the claims are looked up in.

    Attributes:
        summary: Rows on true truths.
        pairs: For each backbone, the labels of its one step and of its cascade.
        cascade: Label of the cascade of Algorithm 2 without a reference.
        one_step: Label of its one step.
        samples: Label of its cascade of samples.
        leaking: Label of its cascade with the leak, if the plan has one.
    """

    summary: Summary
    pairs: Mapping[str, tuple[str, str]]
    cascade: str | None
    one_step: str | None
    samples: str | None
    leaking: str | None

    @classmethod
    def of(cls, plan: Plan, rows: Sequence[Result]) -> Measured:
        """Find the rows that the claims are about."""
        summary = Summary(rows).where(lambda row: not row.pseudo)
        ours = plan.claims or ""
        return cls(
            summary,
            _pairs(plan, ours),
            _label(plan, ours, "cascade"),
            _label(plan, ours, "one-step"),
            _label(plan, ours, "cascade", mode="perceptual"),
            _label(plan, ours, "cascade", reference="leak"),
        )

    def gains(self, label: str | None, other: str | None, metric: str) -> dict[Place, float]:
        """How much more a label has of a metric than another, place by place."""
        if label is None or other is None:
            return {}
        ours, theirs = (self.summary.by_place(each, metric) for each in (label, other))
        return {place: ours[place] - theirs[place] for place in ours.keys() & theirs.keys()}


def answers(plan: Plan, rows: Sequence[Result]) -> list[Answer]:
    """All claims, answered from rows of a plan."""
    measured = Measured.of(plan, rows)
    return [
        _wrapping(measured),
        _beats_wrapped(measured),
        _cascade_beats_one_step(measured),
        _degradation(measured),
        _at_the_largest(measured),
        _speed(measured),
    ]


def _wrapping(found: Measured) -> Answer:
    claim = "a backbone inside WaveDiffUR beats its one step, more so beyond x32"
    figures, holds = [], []
    for model, (once, cascade) in found.pairs.items():
        gains = found.gains(cascade, once, "psnr")
        below = average(gains, lambda scale: scale <= LARGE)
        beyond = average(gains, lambda scale: scale > LARGE)
        if math.isnan(below) or math.isnan(beyond):
            continue
        holds.append(below > 0 and beyond > below)
        figures.append(f"{model} {below:+.2f} dB up to x32, {beyond:+.2f} dB beyond.")
    return _answer(1, claim, holds, figures)


def _beats_wrapped(found: Measured) -> Answer:
    claim = "CSP-WaveDiffUR beats the backbones inside WaveDiffUR"
    figures, holds = [], []
    for model, (_, cascade) in found.pairs.items():
        gains = found.gains(found.cascade, cascade, "psnr")
        if gains:
            holds.append(average(gains) > 0)
            leak = found.gains(found.leaking, cascade, "psnr")
            more = f" ({average(leak):+.2f} dB with the leak)" if leak else ""
            figures.append(f"{average(gains):+.2f} dB over {model}{more}.")
    return _answer(2, claim, holds, figures)


def _cascade_beats_one_step(found: Measured) -> Answer:
    claim = "the self-cascade beats one step for CSP-WaveDiffUR beyond x32"
    psnr = found.gains(found.cascade, found.one_step, "psnr")
    sre = found.gains(found.cascade, found.one_step, "sre")
    gain = average(psnr, lambda scale: scale > LARGE)
    if math.isnan(gain):
        return _answer(3, claim, [], [])
    below = average(psnr, lambda scale: scale <= LARGE)
    error = average(sre, lambda scale: scale > LARGE)
    text = f"{gain:+.2f} dB and {error:+.2f} % of SRE beyond x32, {below:+.2f} dB up to it."
    return _answer(3, claim, [gain > 0], [text])


def _degradation(found: Measured) -> Answer:
    claim = "from x4 to x128 AG falls by at most 19.1 % and NIQE rises by at most 11.8 %"
    figures: list[str] = []
    holds: list[bool] = []
    for words, label in (("means", found.cascade), ("samples", found.samples)):
        falls = -change(found.summary, label, "ag")
        rises = change(found.summary, label, "niqe")
        if math.isnan(falls) or math.isnan(rises):
            continue
        # The paper's model draws samples, so that these decide where there are any.
        holds = [falls <= AG_LIMIT and rises <= NIQE_LIMIT]
        figures.append(f"{words}: AG falls by {falls:.1%}, NIQE changes by {rises:+.1%}.")
    return _answer(4, claim, holds, figures)


def _at_the_largest(found: Measured) -> Answer:
    claim = "at x128 CSP-WaveDiffUR improves on one-step backbones in PSNR and SRE"
    figures, holds = [], []
    for model, (once, _) in found.pairs.items():
        psnr = average(found.gains(found.cascade, once, "psnr"), lambda scale: scale == LAST)
        sre = average(found.gains(found.cascade, once, "sre"), lambda scale: scale == LAST)
        if math.isnan(psnr) or math.isnan(sre):
            continue
        holds.append(psnr > 0 and sre < 0)
        ratio = found.summary.mean(once, "sre", LAST).value
        ratio /= found.summary.mean(found.cascade or "", "sre", LAST).value
        figures.append(f"{psnr:+.2f} dB and SRE {ratio:.2f} times lower than {model}.")
    return _answer(5, claim, holds, figures)


def _speed(found: Measured) -> Answer:
    claim = "CSP-WaveDiffUR is faster than the baselines beyond x16"
    figures, holds = [], []
    for model, labels in found.pairs.items():
        for role, label in zip(("one step", "cascade"), labels, strict=True):
            ours, theirs = (
                average(found.summary.by_place(each, SPEED), lambda scale: scale > SPEEDY)
                for each in (found.cascade or "", label)
            )
            if math.isnan(ours) or math.isnan(theirs) or not ours:
                continue
            holds.append(ours < theirs)
            figures.append(f"{model}, {role}: {theirs:.1f} s against {ours:.1f} s.")
    return _answer(6, claim, holds, figures)


def average(values: Mapping[Place, float], keep: Callable[[float], bool] | None = None) -> float:
    """The mean over places at the scales that are kept; not-a-number of none."""
    return mean(
        value for (_, _, scale), value in values.items() if keep is None or keep(scale)
    ).value


def change(summary: Summary, label: str | None, metric: str) -> float:
    """How much a metric grows from x4 to x128 on the images that have both, as a share."""
    values = summary.by_place(label or "", metric)
    both = [
        (values[data, image, FIRST], values[data, image, LAST])
        for data, image, scale in values
        if scale == FIRST and (data, image, LAST) in values
    ]
    before, after = (
        mean(column).value for column in (zip(*both, strict=True) if both else ((), ()))
    )
    return after / before - 1 if before else math.nan


def _answer(number: int, claim: str, holds: Sequence[bool], figures: Sequence[str]) -> Answer:
    if not holds:
        return Answer(number, claim, "not measured", ("the rows that it needs were not run.",))
    return Answer(number, claim, "yes" if all(holds) else "no", tuple(figures))


def _pairs(plan: Plan, ours: str) -> dict[str, tuple[str, str]]:
    """Backbones of which the plan has both roles, in its order."""
    found = {}
    for entry in plan.models:
        once = _label(plan, entry.model, "one-step", mode=entry.mode)
        cascade = _label(plan, entry.model, "cascade", mode=entry.mode)
        if once and cascade and entry.model != ours:
            found[entry.model] = (once, cascade)
    return found


def _label(
    plan: Plan, model: str, role: str, *, reference: str = "none", mode: Mode = "fidelity"
) -> str | None:
    """The label of a plain row of a model."""
    wanted = (model, role, reference, mode, None, "progressive")
    return next((entry.label for entry in plan.models if _facts(entry) == wanted), None)


def _facts(entry: ModelEntry) -> tuple[object, ...]:
    return entry.model, entry.role, entry.reference, entry.mode, entry.parts, entry.condition
