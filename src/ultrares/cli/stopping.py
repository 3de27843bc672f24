"""Ctrl-C and requests to terminate: the tile at work is finished, but nobody waits long."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from ultrares.cli.console import Stopped, complain
from ultrares.cli.progress import Report

PATIENCE = 8.0
"""Seconds that the tile at work gets; then the process ends where it is, which costs that tile only."""

_WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}


class _Stop:
    """What was asked for, and how far the work was then.

    Attributes:
        number: The first signal that came; None before.
        share: Share of the work that is done.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self.share = 0.0
        self.over = threading.Event()

    @property
    def sentence(self) -> str:
        """What has become of the work."""
        assert self.number is not None, "nobody has asked to stop"
        word = _WORDS[signal.Signals(self.number)]
        if not self.share:
            return word
        return f"{word} at {self.share:.0%}: what is finished is kept, and the same command goes on from there"

    def note(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - signal's form
        """Remember the first request; a second one ends the run at once."""
        if self.number is not None:
            raise Stopped(self.number, self.sentence)
        self.number = number

    def watch(self, waker: socket.socket) -> None:
        """End the process if it does not end in time, also while a library computes and hears nothing."""
        numbers = waker.recv(1)
        if not numbers or self.over.wait(PATIENCE):
            return
        self.number = numbers[0]
        complain(self.sentence)
        os._exit(128 + self.number)


@contextmanager
def stopping_between_tiles(report: Report) -> Iterator[Report]:
    """Make Ctrl-C and SIGTERM end the work at the next report of progress, or after some seconds.

    Args:
        report: Where progress goes.

    Yields:
        The function to report progress to, which ends the run when it was asked to.

    Raises:
        Stopped: The work was asked to end.
    """
    stop = _Stop()

    def reported(done: int, total: int) -> None:
        stop.share = done / total
        report(done, total)
        if stop.number is not None:
            raise Stopped(stop.number, stop.sentence)

    ours, theirs = socket.socketpair()
    theirs.setblocking(False)  # noqa: FBT003 - the standard library's form
    waker = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
    before = {number: signal.signal(number, stop.note) for number in _WORDS}
    watcher = threading.Thread(target=stop.watch, args=(ours,), daemon=True)
    watcher.start()
    try:
        yield reported
    except Exception:
        # What fails while the run is being ended is no news to who ended it.
        if stop.number is None:
            raise
        raise Stopped(stop.number, stop.sentence) from None
    finally:
        stop.over.set()
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(waker)
        theirs.close()
        watcher.join()
        ours.close()
