"""``ultrares benchmark`` hands its options on and says what was found."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ultrares.benchmark import command
from ultrares.benchmark.command import Outcome

OUTCOME = Outcome(
    Path("out/report.html"), Path("out/results.csv"), 12, 3, 1, ("claim 1: yes; it is so: 2 dB.",)
)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[tuple[object, ...], dict[str, object]]]:
    found: list[tuple[tuple[object, ...], dict[str, object]]] = []

    def measure(*arguments: object, **options: object) -> Outcome:
        found.append((arguments, options))
        return OUTCOME

    monkeypatch.setattr(command, "benchmark", measure)
    return found


def test_every_option_is_handed_on(run, calls):
    text = "benchmark claims --data d --out o --models m --weights w --limit 2 --scales 4,5.8"
    outcome = run(*text.split())
    assert outcome.status == 0
    ((arguments, options),) = calls
    assert arguments == ("claims", Path("d"), Path("o"))
    assert callable(options.pop("progress"))
    assert options == {
        "models": Path("m"),
        "weights": Path("w"),
        "limit": 2,
        "scales": (4.0, 5.8),
    }
    first, last = outcome.stdout.splitlines()
    assert first == "claim 1: yes; it is so: 2 dB."
    assert last.startswith("out/report.html  12 measured, 3 kept, 1 not run, ")


def test_as_json(run, calls):
    found = json.loads(run("benchmark", "claims", "--data", "d", "--json").stdout)
    assert calls[0][0] == ("claims", Path("d"), None)
    assert found.pop("seconds") >= 0
    assert found == OUTCOME.as_dict()


def test_scales_that_are_no_numbers(run, calls):
    outcome = run("benchmark", "claims", "--data", "d", "--scales", "4,big")
    assert outcome.status == 2
    assert "4,big" in outcome.stderr
    assert not calls


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("benchmark claims --data no-such-folder", "no-such-folder is no folder"),
        ("benchmark no-such-plan --data .", "no plan is called 'no-such-plan'"),
        ("benchmark claims --data .", "not in .: put it there as"),
        ("benchmark claims --data . --models nowhere", "nowhere is no folder"),
    ],
)
def test_failures_are_sentences(run, tmp_path, monkeypatch, words, sentence):
    monkeypatch.chdir(tmp_path)
    outcome = run(*words.split())
    assert outcome.status == 1
    assert sentence in outcome.stderr
    assert not list(tmp_path.iterdir())
