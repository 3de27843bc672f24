"""The way to workers: a cluster that is there, or processes of this machine."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from threading import Timer
from typing import TYPE_CHECKING, Any

import psutil
import torch

from ultrares.errors import ClusterError, MissingExtraError, OptionError
from ultrares.scene.budget import SMALLEST_BUDGET

if TYPE_CHECKING:
    from distributed import Client, SpecCluster

REACHED_IN = 10
"""Seconds in which a scheduler must answer."""

RESTARTED_IN = "300s"
"""How long a worker that died may take to come back; on a busy machine dask's 15 s are too short."""

GRACE = 1.0
"""Seconds that workers have to end by themselves when a run is given up."""

LOOPBACK = "127.0.0.1"

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")

# Our own budget chooses tile and cache, so a worker need not spill or pause; one that is too large ends.
_CONFIG = {
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
}


@dataclass(frozen=True)
class Hands:
    """Who makes the tiles.

    Attributes:
        workers: Processes of this machine to start; None to start none.
        scheduler: The address of a scheduler that is there.
    """

    workers: int | None = None
    scheduler: str | None = None

    def __bool__(self) -> bool:
        """Whether anybody else than this process makes them."""
        return self.workers is not None or self.scheduler is not None

    def check(self) -> None:
        """Refuse what makes no sense, before any work.

        Raises:
            OptionError: Both are given, or there are no workers.
        """
        if self.workers is not None and self.scheduler is not None:
            raise OptionError("pass --workers or --scheduler, not both")
        if self.workers is not None and self.workers < 1:
            raise OptionError(f"workers is {self.workers}: pass a whole number of at least 1")

    def share(self, memory: int | None) -> int | None:
        """What each process may use of the memory: this machine's is divided among workers and writer.

        Raises:
            OptionError: There is too little for so many.
        """
        if memory is None or self.workers is None:
            return memory
        share = memory // (self.workers + 1)
        if share < SMALLEST_BUDGET:
            least = (self.workers + 1) * SMALLEST_BUDGET
            raise OptionError(
                f"{memory / 1e9:g} GB of memory are too little for {self.workers} workers and the writer: at "
                f"least {least / 1e9:g}GB are needed; pass fewer workers or more memory"
            )
        return share

    @contextmanager
    def client(self, memory: int | None = None) -> Iterator[Client | None]:
        """A client of the scheduler that is there, or of processes that live as long as the block.

        Without either it is None: this process does the work.

        Args:
            memory: What each process may use, in bytes; only for those started here.

        Raises:
            ClusterError: The scheduler cannot be reached.
            MissingExtraError: dask.distributed is not installed.
        """
        if not self:
            yield None
            return
        try:
            import distributed
        except ImportError as error:
            raise MissingExtraError(
                "making tiles by workers needs dask.distributed: pip install 'ultrares[cluster]'"
            ) from error
        if self.workers is not None:
            with (
                TemporaryDirectory(prefix="ultrares-workers-") as folder,
                local_cluster(self.workers, memory, folder) as cluster,
                distributed.Client(cluster, set_as_default=False) as client,
            ):
                yield client
            return
        assert self.scheduler is not None
        with _connected(self.scheduler) as client:
            yield client


@contextmanager
def local_cluster(workers: int, memory: int | None, folder: str) -> Iterator[SpecCluster]:
    """A scheduler in this process and workers in processes of their own, heard on loopback only.

    Args:
        workers: How many processes; each has one task at a time and its share of the cores.
        memory: Bytes beyond which a worker is ended and replaced; None for no limit.
        folder: For the workers' own files.
    """
    import dask
    from distributed import Nanny, Scheduler, SpecCluster

    threads = max(1, torch.get_num_threads() // workers)
    heard: dict[str, Any] = {
        "host": LOOPBACK,
        "dashboard": False,
        "dashboard_address": f"{LOOPBACK}:0",
    }
    options = {
        **heard,
        "nthreads": 1,
        "memory_limit": memory or 0,
        "local_directory": folder,
        "config": _CONFIG,
        "silence_logs": logging.CRITICAL,
        "preload": ["ultrares.cluster.worker"],
    }
    specification = {
        number: {
            "cls": Nanny,
            "options": options | {"env": _environment(number, threads, _gpus())},
        }
        for number in range(workers)
    }
    with (
        dask.config.set({"distributed.deploy.lost-worker-timeout": RESTARTED_IN}),
        SpecCluster(
            workers=specification,
            scheduler={"cls": Scheduler, "options": {**heard, "port": 0}},
            silence_logs=logging.CRITICAL,
        ) as cluster,
    ):
        try:
            yield cluster
        except BaseException:
            # Left alone, a worker ends when its tile is made, which may take long.
            pids = [nanny.pid for nanny in cluster.workers.values()]
            working = [child for child in psutil.Process().children() if child.pid in pids]
            Timer(GRACE, _kill, [working]).start()
            raise


def _kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def _environment(number: int, threads: int, gpus: list[str]) -> dict[str, str]:
    """What a worker's process is told before it starts: its share of the cores, and its GPU."""
    environment = dict.fromkeys(_THREADS, str(threads))
    if gpus:
        environment["CUDA_VISIBLE_DEVICES"] = gpus[number % len(gpus)]
    return environment


def _gpus() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    count = torch.cuda.device_count()
    if given is None:
        return [str(index) for index in range(count)]
    return [name.strip() for name in given.split(",")][:count]


def _connected(scheduler: str) -> Client:
    from distributed import Client

    try:
        client = Client(scheduler, timeout=REACHED_IN, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ClusterError(
            f"no scheduler answers at {scheduler} within {REACHED_IN} s: start one by "
            "`dask scheduler --host 127.0.0.1`, and pass the address that it prints"
        ) from error
    try:
        client.wait_for_workers(1, timeout=REACHED_IN)
    except TimeoutError as error:
        client.close()
        raise ClusterError(
            f"the scheduler at {scheduler} has no workers: start some by "
            f"`dask worker {scheduler} --nthreads 1`"
        ) from error
    return client
