"""Which worker makes which tile next."""

from __future__ import annotations

from collections.abc import Iterable


class Runs:
    """Numbers from 0, handed out so that each worker gets neighbours.

    Neighbouring tiles share cells, which a worker keeps in its memory. So each worker has a run of
    consecutive numbers; one whose run has ended takes the later half of the longest that is left.

    Args:
        count: How many numbers there are.
        workers: Those among whom they are divided at first.
    """

    def __init__(self, count: int, workers: Iterable[str] = ()) -> None:
        names = sorted(workers) or [""]
        cuts = [count * index // len(names) for index in range(len(names) + 1)]
        self._runs = {
            name: range(start, stop)
            for name, start, stop in zip(names, cuts, cuts[1:], strict=False)
        }

    def next(self, worker: str) -> int | None:
        """The number that a worker, known or new, shall do next; None if there is none left."""
        run = self._runs.get(worker, range(0))
        if not run:
            run = self._half_of_the_longest()
        if not run:
            return None
        self._runs[worker] = run[1:]
        return run[0]

    def _half_of_the_longest(self) -> range:
        owner = max(self._runs, key=lambda name: len(self._runs[name]))
        run = self._runs[owner]
        self._runs[owner] = run[: len(run) // 2]
        return run[len(run) // 2 :]
