"""A request to stop waits for the tile at work, but not for long."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest

from ultrares.cli import stopping
from ultrares.cli.console import Stopped
from ultrares.cli.progress import Report
from ultrares.cli.stopping import stopping_between_tiles

SIGNALS = [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]


def stopped(act: Callable[[Report], object], report: Report = lambda *_: None) -> Stopped:
    """What a run that does something is ended by."""
    with pytest.raises(Stopped) as stop, stopping_between_tiles(report) as watched:
        act(watched)
    return stop.value


@pytest.mark.parametrize(("number", "status", "word"), SIGNALS)
def test_the_tile_at_work_is_finished(number, status, word):
    before = signal.getsignal(number)
    seen: list[Any] = []

    def act(report: Report) -> None:
        report(1, 4)
        os.kill(os.getpid(), number)
        seen.append("still at work")
        report(2, 4)
        seen.append("never")

    stop = stopped(act, lambda *done: seen.append(done))
    assert seen == [(1, 4), "still at work", (2, 4)]
    assert stop.code == status
    assert stop.sentence.startswith(f"{word} at 50%: what is finished is kept")
    assert signal.getsignal(number) is before


def test_a_second_request_ends_it_at_once():
    def act(_: Report) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        pytest.fail("it goes on")

    stop = stopped(act)
    assert (stop.code, stop.sentence) == (130, "interrupted")


def test_a_failure_on_the_way_out_is_no_news():
    def act(_: Report) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        raise ZeroDivisionError

    assert stopped(act).code == 143


def test_failures_pass_where_nobody_asked_to_stop():
    with pytest.raises(ZeroDivisionError), stopping_between_tiles(lambda *_: None):
        raise ZeroDivisionError


def test_what_hears_nothing_is_ended_when_patience_is(monkeypatch, capsys):
    ended: list[int] = []
    over = threading.Event()

    def end(status: int) -> None:
        ended.append(status)
        over.set()

    monkeypatch.setattr(stopping, "PATIENCE", 0.05)
    monkeypatch.setattr(os, "_exit", end)
    with stopping_between_tiles(lambda *_: None) as report:
        report(3, 4)
        os.kill(os.getpid(), signal.SIGTERM)
        assert over.wait(20)
    assert ended == [143]
    assert "terminated at 75%" in capsys.readouterr().err
