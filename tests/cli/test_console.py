"""Failures are one sentence on stderr and a status; never a traceback unless asked for."""

from __future__ import annotations

import json
import math
import os
import signal
import sys
import warnings

import pytest

from ultrares.cli.console import in_words, say_json
from ultrares.errors import OutputError, RasterError, ScaleError

UPSCALE = ("upscale", "in.tif", "out.tif", "--scale", "4")


@pytest.mark.parametrize("kind", [RasterError, ScaleError, OutputError])
def test_our_errors_are_printed_as_they_are(run, api, kind):
    api.failure = kind("in.tif: no such file,\n  check the path")
    assert run(*UPSCALE) == (1, "", "ultrares: in.tif: no such file, check the path\n")


def test_what_a_raster_says_does_nothing_to_a_terminal(run, api):
    api.failure = RasterError("esc\x1b[31m.tif: caf\udce9 is no raster")
    assert run(*UPSCALE).stderr == "ultrares: esc\\x1b[31m.tif: caf\\udce9 is no raster\n"


def test_the_unexpected_names_its_type_and_the_issue_tracker(run, api):
    api.failure = ZeroDivisionError("division by zero")
    outcome = run(*UPSCALE)
    assert outcome.status == 1
    assert outcome.stdout == ""
    assert outcome.stderr.startswith("ultrares: unexpected ZeroDivisionError: division by zero;")
    assert "issue tracker" in outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert outcome.stderr.count("\n") == 1


def test_running_out_of_memory_says_what_to_pass(run, api):
    api.failure = MemoryError()
    outcome = run(*UPSCALE)
    assert outcome.status == 1
    assert "--tile" in outcome.stderr


def test_warnings_are_sentences_on_stderr(run, api, monkeypatch):
    def check(fine, coarse):
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("the scene has no place on Earth", UserWarning, stacklevel=1)
        return answer(fine, coarse)

    answer = sys.modules["ultrares.api"].check
    monkeypatch.setattr("ultrares.api.check", check)
    outcome = run("check", "sr.tif", "lr.tif")
    assert outcome.status == 0
    assert outcome.stderr == "ultrares: warning: the scene has no place on Earth\n"
    assert len(api.calls) == 1


def test_ctrl_c_exits_130(run, api):
    api.failure = KeyboardInterrupt()
    assert run(*UPSCALE) == (130, "", "ultrares: interrupted\n")


def test_a_request_to_terminate_runs_the_finally_blocks(run, api, monkeypatch):
    class Terminating:
        def __getattr__(self, name: str) -> object:
            os.kill(os.getpid(), signal.SIGTERM)
            raise AssertionError(name)

    monkeypatch.setattr("ultrares.api", Terminating())
    before = signal.getsignal(signal.SIGTERM)
    assert run(*UPSCALE).status == 143
    assert signal.getsignal(signal.SIGTERM) is before
    assert api.calls == []


def test_debugging_keeps_the_traceback(api, monkeypatch):
    from ultrares.cli.app import main

    monkeypatch.setenv("ULTRARES_DEBUG", "1")
    api.failure = RasterError("in.tif: no such file")
    with pytest.raises(RasterError):
        main(UPSCALE)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "none"),
        ([], "none"),
        (True, "yes"),
        (0, "0"),
        (0.1 + 0.2, "0.3"),
        ((28.5, -28.5), "28.5, -28.5"),
        ({"COG": True, "JP2": False}, "COG yes, JP2 no"),
    ],
)
def test_values_read_as_words(value, words):
    assert in_words(value) == words


def test_json_has_words_for_numbers_that_it_lacks(capsys):
    say_json({"nodata": math.nan, "bands": [{"scale": math.inf}, (-math.inf, 0.5)]})
    assert json.loads(capsys.readouterr().out, parse_constant=pytest.fail) == {
        "nodata": "NaN",
        "bands": [{"scale": "inf"}, ["-inf", 0.5]],
    }
