"""Tiles are handed to a cluster, and what comes back is written by one process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ultrares.cluster.bench import Description, Finish, Made, make_tile
from ultrares.cluster.runs import Runs
from ultrares.errors import ClusterError
from ultrares.scene.tile import Progress, Tile
from ultrares.types import Sink, Window

if TYPE_CHECKING:
    from distributed import Client, Future

IN_FLIGHT = 2
"""Tiles that a worker has at once: one that it makes and one that waits, so that it is never idle and
never ahead of the writer by more."""

PATIENCE = 60
"""Seconds to wait for a worker where there is none."""


def write_tiles_from_workers(
    client: Client,
    job: Description,
    places: Sequence[Window],
    sink: Sink,
    *,
    spread: Sink | None = None,
    on_progress: Progress | None = None,
) -> None:
    """Have tiles made by workers and hand them to sinks as they come; the caller commits.

    Args:
        client: Connected to the scheduler.
        job: What the workers make tiles from.
        places: Which tiles, neighbours near each other.
        sink: Receives pixels.
        spread: Receives the standard deviation of the draws, if the job makes it.
        on_progress: Called with output pixels done and their total.

    Raises:
        ClusterError: The cluster was lost, or a worker cannot do the job.
    """
    total, done = sum(place.height * place.width for place in places), 0
    for place, tile in results_from_workers(client, job, places):
        assert isinstance(tile, Tile)
        sink.write(place, tile.pixels, tile.valid)
        if spread is not None:
            assert tile.spread is not None, "the tiler makes no spread"
            assert tile.lit is not None, "a spread says where it is valid"
            spread.write(place, tile.spread, tile.lit)
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
    from distributed import as_completed

    with _cluster_errors():
        runs = Runs(len(places), _workers(client))
        flying: dict[Future[Made], tuple[int, str]] = {}
        ready = as_completed(loop=client.loop)
        kinds: dict[str, str] = {}
        try:
            while True:
                for future, number, worker in _new(client, job, places, runs, flying, finish):
                    flying[future] = number, worker
                    ready.add(future)
                if not flying:
                    return
                future = next(ready)
                number, _ = flying.pop(future)
                made = future.result()
                future.release()
                _check_alike(kinds, made)
                yield places[number], made.result
        finally:
            client.cancel(list(flying))


def _new(
    client: Client,
    job: Description,
    places: Sequence[Window],
    runs: Runs,
    flying: dict[Future[Made], tuple[int, str]],
    finish: Finish | None,
) -> Iterator[tuple[Future[Made], int, str]]:
    """Tasks for workers that have fewer than they may."""
    busy = Counter(worker for _, worker in flying.values())
    for worker in _workers(client):
        for _ in range(busy[worker], IN_FLIGHT):
            number = runs.next(worker)
            if number is None:
                return
            # Its own worker has the neighbours' cells, but any other can do it.
            future = client.submit(
                make_tile,
                job,
                places[number],
                finish,
                workers=[worker],
                allow_other_workers=True,
                pure=False,
            )
            yield future, number, worker


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
        raise ClusterError(
            f"{error.allowed_failures + 1} workers died one after the other of the same tile, the last at "
            f"{error.last_worker.address}: they may lack memory; pass fewer workers or more memory"
        ) from error
    except (CancelledError, TimeoutError, ConnectionError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ClusterError(f"the cluster was lost ({reason}); run the command again") from error
