"""How far a long command is: a live bar on a terminal, sparse plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

Report = Callable[[int, int], None]
"""Called with the pixels done and the pixels in total, as often as the worker likes."""

StageReport = Callable[[str, int, int], None]
"""Called with a stage of a training, the steps done and the steps in total."""

MOST_LINES = 10
SECONDS_BETWEEN_LINES = 5.0


def megapixels(speed: float) -> str:
    """A speed in pixels a second."""
    return f"{speed / 1e6:.2f} MPix/s"


def images(speed: float) -> str:
    """A speed in images a second."""
    return f"{speed:.2f} images/s"


class PlainLines:
    """Progress for a log file: a line when another tenth is done and some seconds have gone by.

    Args:
        label: What is being done.
        stream: Where the lines go.
        clock: Seconds from any fixed start.
        in_words: A speed, in whatever is counted a second, as a person reads it.
    """

    def __init__(
        self,
        label: str,
        stream: TextIO,
        clock: Callable[[], float] = time.monotonic,
        in_words: Callable[[float], str] = megapixels,
    ) -> None:
        self._in_words = in_words
        self._label = label
        self._stream = stream
        self._clock = clock
        self._started = clock()
        self._last_step = 0
        self._last_time = self._started

    def __call__(self, done: int, total: int) -> None:
        """Write a line if it is time for one."""
        now = self._clock()
        step = MOST_LINES * done // max(total, 1)
        if step == self._last_step or now - self._last_time < SECONDS_BETWEEN_LINES:
            return
        self._last_step, self._last_time = step, now
        speed = done / (now - self._started)
        self._stream.write(
            f"{self._label}: {done / total:.0%}, {self._in_words(speed)}, "
            f"{(total - done) / speed:.0f} s left\n"
        )
        self._stream.flush()


@contextmanager
def progress_on_stderr(
    label: str, in_words: Callable[[float], str] = megapixels
) -> Iterator[Report]:
    """Show progress on stderr while the block runs.

    Args:
        label: What is being done, in one word.
        in_words: A speed, in whatever is counted a second, as a person reads it.

    Yields:
        The function to report progress to.
    """
    if not sys.stderr.isatty():
        yield PlainLines(label, sys.stderr, in_words=in_words)
        return
    # Only a terminal shows it, and rich takes its time to import.
    from ultrares.cli.bars import bar

    with bar(label, in_words) as report:
        yield report


@contextmanager
def steps_on_stderr() -> Iterator[StageReport]:
    """Show on stderr how far each stage of a training is, while the block runs.

    Yields:
        The function to report a stage, its steps done and its steps in total to.
    """
    if not sys.stderr.isatty():
        yield _plain_steps_of(sys.stderr)
        return
    from ultrares.cli.bars import bar_of_each_stage

    with bar_of_each_stage() as report:
        yield report


def _plain_steps_of(stream: TextIO) -> StageReport:
    """Plain lines for each stage in turn; a resumed stage counts from where it goes on."""
    stages: dict[str, tuple[int, PlainLines]] = {}

    def report(stage: str, done: int, total: int) -> None:
        if stage not in stages:
            label = f"training {stage}"
            stages[stage] = (
                done - 1,
                PlainLines(label, stream, in_words=lambda speed: f"{speed:.2f} steps/s"),
            )
        before, lines = stages[stage]
        lines(done - before, total - before)

    return report
