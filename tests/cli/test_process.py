"""A process that ends at once still does what Python does when one ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PREAMBLE = """
import atexit, sys, threading, time
from ultrares.cli import process
atexit.register(print, "at the end")
"""


BUFFERED = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}


def ended(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PREAMBLE + program, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=BUFFERED,
    )


@pytest.mark.parametrize(
    ("arguments", "status"), [(["--version"], 0), (["info", "nothing.tif"], 1), (["--nonsense"], 2)]
)
def test_status_words_and_handlers_are_those_of_an_ordinary_end(
    arguments: list[str], status: int
) -> None:
    ordinary = ended("from ultrares.cli.app import main; main()", *arguments)
    quick = ended("process.run()", *arguments)
    assert (quick.returncode, quick.stdout, quick.stderr) == (
        ordinary.returncode,
        ordinary.stdout,
        ordinary.stderr,
    )
    assert quick.returncode == status
    assert quick.stdout.endswith("at the end\n")


def test_nothing_is_taken_apart() -> None:
    taken_apart = "class Kept:\n    def __del__(self): print('taken apart')\nkept = Kept()\n"
    assert (
        "taken apart"
        in ended(f"{taken_apart}from ultrares.cli.app import main; main()", "--version").stdout
    )
    assert "taken apart" not in ended(f"{taken_apart}process.run()", "--version").stdout


def test_a_thread_that_still_works_is_waited_for() -> None:
    working = "threading.Thread(target=lambda: (time.sleep(0.5), print('worked'))).start()\n"
    assert "worked" in ended(f"{working}process.run()", "--version").stdout


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device here that is always full")
@pytest.mark.parametrize("call", ["process.main", "process.run"], ids=["ordinary", "quick"])
def test_words_that_cannot_be_written_last_are_no_success(call: str) -> None:
    """As Python tells it, with a status of its own."""
    program = (
        f"def late(): sys.stdout.write('x'); raise SystemExit(0)\nprocess.main = late\n{call}()"
    )
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", PREAMBLE + program],
            stdout=full,
            stderr=subprocess.DEVNULL,
            check=False,
            env=BUFFERED,
        )
    assert done.returncode == 120


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_a_process_without_streams_ends_well(closed: str) -> None:
    command = f'"{sys.executable}" -m ultrares --version {closed}'
    assert subprocess.run(["sh", "-c", command], capture_output=True, check=False).returncode == 0


def test_a_profiler_gets_its_figures(tmp_path: Path) -> None:
    figures = tmp_path / "figures"
    options = ["-m", "cProfile", "-o", str(figures), "-m", "ultrares", "--version"]
    subprocess.run([sys.executable, *options], capture_output=True, check=True)
    assert figures.stat().st_size > 0


def test_a_command_is_lean(scene: Path) -> None:
    """It takes along neither what nobody asked for nor bars, and keeps the blocks it frees."""
    watched = """
from unittest.mock import patch
from ultrares.cli import allocation
from ultrares.cli.postponed import PARTS, SHAPES
told = []
atexit.register(lambda: print([name for name in (*SHAPES, *PARTS, "rich") if name in sys.modules], told))
with patch.object(process, "keep_freed_blocks", lambda: told.append("kept")):
    process.run()
"""
    upscale = ("upscale", str(scene), str(scene.with_name("fine.tif")), "--scale", "2")
    done = ended(watched, *upscale, "--model", "bicubic")
    assert done.returncode == 0, done.stderr
    assert "[] ['kept']" in done.stdout
