"""What a worker process of this machine does when it starts; dask calls it by its name."""

from __future__ import annotations

import signal


def dask_setup(worker: object) -> None:
    """Leave Ctrl-C, which a terminal sends to all processes, to the one that writes: it ends the workers."""
    del worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)
