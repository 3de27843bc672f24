"""The command as a process of its own, which ends when its work has."""

from __future__ import annotations

import atexit
import os
import sys
import threading

from ultrares.cli.app import main


def run() -> None:
    """Run the command line of this process, and end it.

    Raises:
        SystemExit: The process has to end as Python ends one; see :func:`main` for its status.
    """
    try:
        main()
    except SystemExit as stop:
        if stop.code is None or isinstance(stop.code, int):
            _leave(stop.code or 0)
        raise


def _leave(status: int) -> None:
    """End the process if nothing is left to wait for.

    Python would free what torch defined and a run kept object by object, a sixth of a second, before the system takes
    all of it back at once.
    """
    others = [thread for thread in threading.enumerate() if not thread.daemon]
    if others != [threading.main_thread()]:
        return
    # What Python itself calls first when it ends.
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        # Nobody reads any more, which Python has its own way of saying.
        return
    os._exit(status)
