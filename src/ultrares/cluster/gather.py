"""Tiles are handed to a cluster, and what comes back is written by one process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence, Set
from concurrent.futures import CancelledError
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from ultrares.cluster.bench import Description, Finish, Made, make_tile
from ultrares.cluster.runs import Runs
from ultrares.errors import ClusterError
from ultrares.scene.tile import Progress, Tile, write_tile
from ultrares.types import Sink, Window

if TYPE_CHECKING:
    from distributed import Client, Future

IN_FLIGHT = 2
"""Tiles that a worker has at once: one that it makes and one that waits, so that it is never idle and
never ahead of the writer by more."""

PATIENCE = 120
"""Seconds to wait for a worker where there is none."""

PULSE = 2
"""Seconds without a tile after which one looks whether workers were lost."""

LOSSES = 3
"""How often a tile may be lost together with all workers."""

_DEADLY = (
    "{times} times workers died over the same tile, the last at {last}: they may lack memory; pass fewer "
    "workers or more memory"
)


def write_tiles_from_workers(
    client: Client,
    job: Description,
    places: Sequence[Window],
    sink: Sink,
    *,
    spread: Sink | None = None,
    layers: Mapping[str, Sink] | None = None,
    skip: Set[Window] = frozenset(),
    on_progress: Progress | None = None,
) -> None:
    """Have tiles made by workers and hand them to sinks as they come; the caller commits.

    Args:
        client: Connected to the scheduler.
        job: What the workers make tiles from.
        places: Which tiles, neighbours near each other.
        sink: Receives pixels.
        spread: Receives the standard deviation of the draws, if the job makes it.
        layers: Receive the layers of their name, which the job must make.
        skip: Places that the sinks have already, of an earlier run.
        on_progress: Called with output pixels done and their total, after each tile that is stored; what it
            raises ends the run.

    Raises:
        ClusterError: The cluster was lost, or a worker cannot do the job.
    """
    total = sum(place.height * place.width for place in places)
    done = sum(place.height * place.width for place in places if place in skip)
    if done and on_progress is not None:
        on_progress(done, total)
    left = [place for place in places if place not in skip]
    for place, tile in results_from_workers(client, job, left):
        assert isinstance(tile, Tile)
        write_tile(tile, sink, spread=spread, layers=layers)
        done += place.height * place.width
        if on_progress is not None:
            on_progress(done, total)


def results_from_workers(
    client: Client, job: Description, places: Sequence[Window], finish: Finish | None = None
) -> Generator[tuple[Window, Any], None, None]:
    """Tiles made by workers, or what the workers did with them, in the order in which they are ready.

    What a lost worker had is made again by others. Workers may come and go.

    Args:
        client: Connected to the scheduler.
        job: What the workers make tiles from.
        places: Which tiles, neighbours near each other.
        finish: What a worker does with a tile, such as writing it to its own region of an array; what it
            returns comes back in the tile's stead. It must be possible to do it twice.

    Yields:
        A place and its result.

    Raises:
        ClusterError: The cluster was lost, or a worker cannot do the job.
    """
    with _cluster_errors():
        flight = _Flight(client, job, places, finish)
        kinds: dict[str, str] = {}
        try:
            while flight.refill():
                landed = flight.landed()
                if landed is not None:
                    number, made = landed
                    _check_alike(kinds, made)
                    yield places[number], made.result
        finally:
            flight.cancel()


class _Flight:
    """The tiles that workers have at the moment."""

    def __init__(
        self,
        client: Client,
        job: Description,
        places: Sequence[Window],
        finish: Finish | None,
    ) -> None:
        self._client = client
        self._job, self._places, self._finish = job, places, finish
        self._runs = Runs(len(places), _workers(client))
        self._flying: dict[Future[Made], tuple[int, str]] = {}
        self._ready: SimpleQueue[Future[Made]] = SimpleQueue()
        self._losses: Counter[int] = Counter()

    def refill(self) -> bool:
        """Give tiles to workers that have fewer than they may, and say whether any is in flight."""
        busy = Counter(worker for _, worker in self._flying.values())
        for worker in _workers(self._client):
            for _ in range(busy[worker], IN_FLIGHT):
                number = self._runs.next(worker)
                if number is not None:
                    self._launch(number, worker)
        return bool(self._flying)

    def landed(self) -> tuple[int, Made] | None:
        """The next tile, which the cluster then forgets; None if it takes long."""
        try:
            future = self._ready.get(timeout=PULSE)
        except Empty:
            self._relaunch_stranded()
            return None
        if future not in self._flying:
            # It was stranded, and another makes the same tile.
            return None
        made: Made = future.result()
        number, _ = self._flying.pop(future)
        future.release()
        return number, made

    def cancel(self) -> None:
        """Give up what is in flight."""
        self._client.cancel(list(self._flying))

    def _launch(self, number: int, worker: str) -> None:
        # Its own worker has the neighbours' cells, but any other can do it.
        future = self._client.submit(
            make_tile,
            self._job,
            self._places[number],
            self._finish,
            workers=[worker],
            allow_other_workers=True,
            pure=False,
        )
        self._flying[future] = number, worker
        future.add_done_callback(self._ready.put)

    def _relaunch_stranded(self) -> None:
        """Give tiles to another worker that their own, which is gone, took with it.

        The scheduler does so by itself while any worker is left; where all were lost, it goes on waiting
        for those that a task named, though others have come.
        """
        there = _workers(self._client)
        worked_on = {key for keys in self._client.processing().values() for key in keys}
        for future, (number, worker) in list(self._flying.items()):
            if worker in there or future.key in worked_on or future.done():
                continue
            self._losses[number] += 1
            if self._losses[number] > LOSSES:
                raise ClusterError(_DEADLY.format(times=LOSSES + 1, last=worker))
            del self._flying[future]
            self._client.cancel([future])
            self._launch(number, there[number % len(there)])


def _workers(client: Client) -> list[str]:
    """Addresses of the workers that are there, once there is one."""
    workers = client.nthreads()
    if not workers:
        client.wait_for_workers(1, timeout=PATIENCE)
        workers = client.nthreads()
    return sorted(workers)


def _check_alike(kinds: dict[str, str], made: Made) -> None:
    """Refuse workers whose results differ in their last bits."""
    for kind, worker in kinds.items():
        if kind != made.kind:
            raise ClusterError(
                f"workers compute differently, so that their tiles would not fit: {worker} on {kind}, "
                f"{made.worker} on {made.kind}; use workers of one kind"
            )
    kinds[made.kind] = made.worker


@contextmanager
def _cluster_errors() -> Iterator[None]:
    """Turn what a broken cluster raises into our own sentence."""
    from distributed import KilledWorker

    try:
        yield
    except KilledWorker as error:
        times, last = error.allowed_failures + 1, error.last_worker.address
        raise ClusterError(_DEADLY.format(times=times, last=last)) from error
    except (CancelledError, TimeoutError, ConnectionError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ClusterError(f"the cluster was lost ({reason}); run the command again") from error
