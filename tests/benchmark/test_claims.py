"""Rows whose answers are known, for each claim."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from ultrares.benchmark.claims import answers
from ultrares.benchmark.plan import Plan
from ultrares.benchmark.results import Key, Result

SCALES = (4.0, 16.0, 32.0, 64.0, 128.0)
ONCE, CASCADE = "le-gan, one-step", "le-gan, cascade"
OURS, OURS_ONCE, SAMPLES = "ours, cascade", "ours, one-step", "ours, cascade, perceptual"
Values = dict[str, float]


@pytest.fixture
def claims_plan() -> Plan:
    models = [{"model": name, "role": role} for name in ("le-gan", "ours") for role in ROLES]
    return Plan.model_validate(
        {
            "name": "claims",
            "title": "",
            "mirrors": "",
            "metrics": ["psnr", "sre", "ag"],
            "scales": SCALES,
            "data": [{"name": "drone", "truth": 64}],
            "models": [*models, {"model": "ours", "mode": "perceptual"}],
            "claims": "ours",
        }
    )


ROLES = ("one-step", "cascade")


def rows(of: Callable[[str, float], Values], image: str = "a") -> list[Result]:
    labels = (ONCE, CASCADE, OURS, OURS_ONCE, SAMPLES)
    return [
        Result(
            Key("drone", image, scale, label),
            cpu_seconds=values.pop("seconds"),
            values=values,
        )
        for label in labels
        for scale in SCALES
        if (values := of(label, scale))
    ]


def holding(label: str, scale: float) -> Values:
    """All claims hold: the cascade gains 1 dB, 3 dB beyond x32; ours another 2 dB."""
    cascade = label in (CASCADE, OURS, SAMPLES)
    gain = (3.0 if scale > 32 else 1.0) * cascade + 2.0 * label.startswith("ours")
    return {
        "psnr": 20 + gain,
        "sre": 12 / (1 + gain),
        "ag": 4 * (1 - 0.15 * (scale == 128)),
        "niqe": 10 * (1 + 0.1 * (scale == 128)),
        "seconds": 1.0 if label.startswith("ours") else 3.0,
    }


def test_all_hold(claims_plan: Plan) -> None:
    found = answers(claims_plan, rows(holding))
    assert [answer.number for answer in found] == [1, 2, 3, 4, 5, 6]
    assert [answer.verdict for answer in found] == ["yes"] * 6
    texts = [" ".join(answer.figures) for answer in found]
    assert "le-gan +1.00 dB up to x32, +3.00 dB beyond." in texts[0]
    assert "+2.00 dB over le-gan" in texts[1]
    assert "+3.00 dB" in texts[2]
    assert "AG falls by 15.0%, NIQE changes by +10.0%" in texts[3]
    assert "+5.00 dB and SRE 6.00 times lower" in texts[4]
    assert "3.0 s against 1.0 s" in texts[5]


def changed(metric: str, label: str, scale: float, value: float) -> Callable[[str, float], Values]:
    def of(name: str, at: float) -> Values:
        values = holding(name, at)
        if name == label and at == scale:
            values[metric] = value
        return values

    return of


@pytest.mark.parametrize(
    ("number", "metric", "label", "scale", "value"),
    [
        (1, "psnr", CASCADE, 128, 10.0),
        (1, "psnr", CASCADE, 4, 10.0),
        (2, "psnr", OURS, 4, 1.0),
        (3, "psnr", OURS_ONCE, 64, 90.0),
        (4, "ag", SAMPLES, 128, 4 * (1 - 0.192)),
        (4, "niqe", SAMPLES, 128, 11.9),
        (5, "sre", OURS, 128, 13.0),
        (5, "psnr", ONCE, 128, 30.0),
        (6, "seconds", OURS, 128, 9.0),
    ],
)
def test_each_fails_by_its_own_figure(
    claims_plan: Plan, number: int, metric: str, label: str, scale: float, value: float
) -> None:
    assert (
        answers(claims_plan, rows(changed(metric, label, scale, value)))[number - 1].verdict == "no"
    )


def test_without_rows_nothing_is_said(claims_plan: Plan) -> None:
    failed = [replace(row, problem="no weights", values={}) for row in rows(holding)]
    assert {answer.verdict for answer in answers(claims_plan, failed)} == {"not measured"}
    small = [row for row in rows(holding) if row.key.scale <= 16]
    verdicts = [answer.verdict for answer in answers(claims_plan, small)]
    assert verdicts == ["not measured", "yes", *["not measured"] * 4]


def test_pseudo_truths_and_lonely_images_do_not_count(claims_plan: Plan) -> None:
    bad = changed("psnr", OURS, 4, -500.0)
    pseudo = [replace(row, pseudo=True) for row in rows(bad, image="b")]
    alone = [row for row in rows(bad, image="c") if row.key.label == OURS]
    expected = answers(claims_plan, rows(holding))
    found = answers(claims_plan, [*rows(holding), *pseudo, *alone])
    for number in (1, 2, 3):
        assert found[number - 1] == expected[number - 1]
