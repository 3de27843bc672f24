"""A process that ends at once still does what Python does when one ends."""

from __future__ import annotations

import subprocess
import sys

import pytest

PREAMBLE = """
import atexit, sys, threading, time
from ultrares.cli import process
atexit.register(print, "at the end")
"""


def ended(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PREAMBLE + program, *arguments],
        capture_output=True,
        text=True,
        check=False,
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


def test_output_that_nobody_reads_is_told_as_python_tells_it() -> None:
    """The status of a lost line is not that of success."""
    program = PREAMBLE + "process.run()"
    writer = subprocess.Popen(
        [sys.executable, "-c", program, "--version"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert writer.stdout is not None
    writer.stdout.close()
    assert writer.wait() != 0
