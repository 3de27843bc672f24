"""Help, version, usage errors: what every command has in common."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import ultrares
from ultrares.cli.app import COMMANDS, app_for


def test_help_names_every_command(run):
    outcome = run("--help")
    assert outcome.status == 0
    assert outcome.stderr == ""
    assert all(command in outcome.stdout for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(run, command):
    outcome = run(command, "--help")
    assert outcome.status == 0
    assert f"ultrares {command}" in outcome.stdout


def test_version_is_that_of_the_package(run):
    assert run("--version") == (0, f"ultrares {ultrares.__version__}\n", "")


@pytest.mark.parametrize(
    "arguments",
    [
        ("sharpen",),
        ("upscale",),
        ("upscale", "in.tif", "out.tif"),
        ("upscale", "in.tif", "out.tif", "--scale", "four"),
        ("upscale", "in.tif", "out.tif", "--scale", "4", "--gsd", "2"),
        ("upscale", "in.tif", "out.tif", "--scale", "4", "--mode", "artistic"),
        ("upscale", "in.tif", "out.tif", "--scale", "4", "--draws", "0"),
        ("upscale", "in.tif", "out.tif", "--scale", "4", "--aoi", "1 2 3"),
        ("upscale", "in.tif", "out.tif", "--scale", "4", "--aoi", "5 0 1 9"),
        ("check", "sr.tif"),
        ("info",),
        ("models", "--loud"),
        ("degrade", "in.tif", "out.tif"),
        ("train",),
    ],
)
def test_wrong_usage_exits_2_and_calls_nothing(run, api, arguments):
    outcome = run(*arguments)
    assert outcome.status == 2
    assert outcome.stdout == ""
    assert "Usage: ultrares" in outcome.stderr
    assert api.calls == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("upscale", "in.tif", "out.tif", "--scale", "4", "--json"),
        ("check", "sr.tif", "lr.tif", "--json"),
        ("info", "in.tif", "--json"),
        ("models", "--json"),
        ("doctor", "--json"),
    ],
)
@pytest.mark.usefixtures("api")
def test_json_goes_to_stdout_alone(run, arguments):
    outcome = run(*arguments)
    assert outcome.status == 0
    assert json.loads(outcome.stdout)
    assert outcome.stderr == ""


def test_only_the_command_that_is_called_is_imported() -> None:
    code = (
        "import sys; from ultrares.cli.app import COMMANDS, app_for; app_for(['plan', '--help'])\n"
        "print([name for name in COMMANDS if f'ultrares.cli.{name}' in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "['plan']"


@pytest.mark.parametrize("arguments", [[], ["--help"], ["nonsense"], ["--version", "plan"]])
def test_without_one_all_are_there(arguments: list[str]) -> None:
    assert len(app_for(arguments).registered_commands) == len(COMMANDS)
