"""``ultrares train``, on the smallest recipe and the sample scene."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ultrares.training import run as training

SAMPLE = str(Path(__file__).parents[2] / "examples" / "data")


def test_a_recipe_by_name_becomes_a_model(run, tmp_path):
    out = str(tmp_path / "out")
    arguments = (
        *("train", "smoke", "--data", SAMPLE, "--out", out),
        *("--steps", "2", "--accelerator", "cpu"),
    )
    outcome = run(*arguments, "--json")
    assert outcome.status == 0
    assert outcome.stderr == ""
    said = json.loads(outcome.stdout)
    assert (said["name"], said["model"]) == ("smoke", f"{out}/model")
    assert [Path(log).parent.name for log in said["logs"]] == ["backbone", "denoiser"]

    refused = run(*arguments)
    assert (refused.status, refused.stdout) == (1, "")
    assert refused.stderr.startswith(f"ultrares: {out} holds a training run already: pass --resume")
    for choice in ("--resume", "--restart"):
        outcome = run(*arguments, choice)
        assert outcome.status == 0
        assert outcome.stdout.startswith(f"{out}/model  smoke, 57,848 parameters")
    fine = run("upscale", f"{SAMPLE}/olinda.tif", str(tmp_path / "sr.tif"), "--scale", "2",
               "--model", f"{out}/model")  # fmt: skip
    assert fine.status == 0


@pytest.mark.parametrize(
    ("kept", "says"),
    [
        ("backbone/checkpoint.ckpt", "go on from the last checkpoint"),
        ("recipe.json", "nothing is kept yet; begin again"),
    ],
)
def test_ctrl_c_says_how_to_go_on(run, tmp_path, monkeypatch, kept, says):
    def interrupted(*_, **__):
        (out / kept).parent.mkdir(parents=True)
        (out / kept).touch()
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "train_recipe", interrupted)
    out = tmp_path / "my runs"
    outcome = run("train", "smoke", "--data", SAMPLE, "--out", str(out), "--steps", "9")
    assert outcome.status == 130
    assert outcome.stdout == ""
    again = f"ultrares train smoke --data {SAMPLE} --out '{out}' --resume --steps 9"
    assert outcome.stderr.splitlines() == [
        f"ultrares: stopped; {says} with: {again}",
        "ultrares: interrupted",
    ]


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("smoke", "--resume", "--restart"), 2, "contradict"),
        (("smoke", "--devices", "0"), 2, "--devices"),
        (("smoke", "--accelerator", "abacus"), 2, "--accelerator"),
        (
            ("smok",),
            1,
            "no recipe is called 'smok': pass a TOML file, or one of csp-wavediffur-mid",
        ),
        (("none.toml",), 1, "recipe none.toml cannot be read"),
        (("smoke", "--data", "none"), 1, "none is no folder"),
    ],
)
def test_mistakes_are_answered_with_a_sentence(
    run, tmp_path, monkeypatch, arguments, status, words
):
    monkeypatch.chdir(tmp_path)
    outcome = run("train", *arguments)
    assert outcome.status == status
    assert words in outcome.stderr
    assert list(tmp_path.iterdir()) == []
