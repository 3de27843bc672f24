"""A worker's bench: what makes its tiles is put together once and used for all of them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from threading import Lock
from typing import Any, Protocol

from ultrares.errors import ClusterError, UltraresError
from ultrares.scene.tile import Tile, Tiler
from ultrares.types import Window

KEPT = 2
"""Products whose tilers a process keeps: another client's tiles may come in between."""

Finish = Callable[[Tile], Any]
"""What a worker does with a tile; its result is returned in the tile's stead."""


class Description(Protocol):
    """What a worker makes tiles from; hashable and small enough to be sent with every tile."""

    def open(self) -> AbstractContextManager[Tiler]:
        """What makes the tiles."""

    def kind(self) -> str:
        """How this process computes, in words; it must be the same in all of them."""


@dataclass(frozen=True)
class Made:
    """What comes back from a worker.

    Attributes:
        result: A tile, or what the worker made of it.
        kind: How the worker computes.
        worker: Its address.
    """

    result: Any
    kind: str
    worker: str


def make_tile(job: Description, place: Window, finish: Finish | None = None) -> Made:
    """Make one tile in this process; the task that a cluster is given.

    Raises:
        ClusterError: This process cannot make tiles of the job; the message names the worker.
    """
    # Sources and caches belong to one thread at a time.
    with _LOCK:
        tile = _tiler(job).make(place)
    result = tile if finish is None else finish(tile)
    return Made(result, job.kind(), _address())


_LOCK = Lock()
_BENCHES: OrderedDict[Description, tuple[Tiler, ExitStack]] = OrderedDict()


def _tiler(job: Description) -> Tiler:
    """The tiler of a job, kept from before or put together now."""
    if job in _BENCHES:
        _BENCHES.move_to_end(job)
        return _BENCHES[job][0]
    with ExitStack() as stack:
        try:
            tiler = stack.enter_context(job.open())
        except UltraresError as error:
            raise ClusterError(f"worker {_address()} is of no use: {error}") from error
        _BENCHES[job] = tiler, stack.pop_all()
    while len(_BENCHES) > KEPT:
        _BENCHES.popitem(last=False)[1][1].close()
    return tiler


def _address() -> str:
    """The address of the worker that this process is."""
    from distributed import get_worker

    try:
        return str(get_worker().address)
    except ValueError:
        return "here"
