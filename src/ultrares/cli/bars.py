"""Live bars on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

if TYPE_CHECKING:
    from ultrares.cli.progress import Report, StageReport


class ThroughputColumn(ProgressColumn):
    """What is done a second.

    Args:
        in_words: A speed, in whatever is counted a second, as a person reads it.
    """

    def __init__(self, in_words: Callable[[float], str]) -> None:
        super().__init__()
        self._in_words = in_words

    def render(self, task: Task) -> Text:
        """The recent throughput, or a placeholder before there is one."""
        if task.speed is None:
            return Text(f"- {self._in_words(0).partition(' ')[2]}")
        return Text(self._in_words(task.speed))


@contextmanager
def bar(label: str, in_words: Callable[[float], str]) -> Iterator[Report]:
    """One bar, gone when the block ends."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        ThroughputColumn(in_words),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(label, total=None)
        yield lambda done, total: shown.update(task, completed=done, total=total)


@contextmanager
def bar_of_each_stage() -> Iterator[StageReport]:
    """A bar for each stage of a training, in the order they are reported."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as shown:
        tasks: dict[str, TaskID] = {}

        def report(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                # A resumed stage has not done its first steps in this time.
                tasks[stage] = shown.add_task(stage, total=total, completed=done)
            shown.update(tasks[stage], completed=done)

        yield report
