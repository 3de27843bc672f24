"""Progress goes to stderr: a bar on a terminal, sparse plain lines elsewhere."""

from __future__ import annotations

import io

from rich.progress import Progress

from ultrares.cli.bars import ThroughputColumn
from ultrares.cli.progress import PlainLines, megapixels, progress_on_stderr


class Clock:
    """Seconds that pass when told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_plain_lines_give_share_throughput_and_remaining_time():
    stream, clock = io.StringIO(), Clock()
    report = PlainLines("upscaling", stream, clock)
    clock.now = 10
    report(25_000_000, 100_000_000)
    assert stream.getvalue() == "upscaling: 25%, 2.50 MPix/s, 30 s left\n"


def test_plain_lines_are_sparse():
    stream, clock = io.StringIO(), Clock()
    report = PlainLines("upscaling", stream, clock)
    for second in range(1, 1001):
        clock.now = second
        report(second, 1000)
    assert len(stream.getvalue().splitlines()) == 10


def test_a_quick_command_writes_no_lines(capsys):
    with progress_on_stderr("upscaling") as report:
        for done in range(1, 11):
            report(done, 10)
    assert capsys.readouterr() == ("", "")


def test_a_terminal_gets_a_bar_on_stderr(monkeypatch):
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stderr", terminal)
    with progress_on_stderr("upscaling") as report:
        report(1_000_000, 4_000_000)
        report(4_000_000, 4_000_000)
    shown = terminal.getvalue()
    assert "upscaling" in shown
    assert "100 %" in shown
    assert "MPix/s" in shown


def test_throughput_is_in_megapixels_a_second():
    clock = Clock()
    bar = Progress(ThroughputColumn(megapixels), get_time=clock)
    task = bar.add_task("upscaling", total=10_000_000)
    assert ThroughputColumn(megapixels).render(bar.tasks[0]).plain == "- MPix/s"
    for second in range(1, 3):
        clock.now = second
        bar.update(task, completed=2_500_000 * second)
    assert ThroughputColumn(megapixels).render(bar.tasks[0]).plain == "2.50 MPix/s"
