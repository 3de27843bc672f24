"""The command as a process of its own, which ends when its work has."""

from __future__ import annotations

import atexit
import os
import sys
import threading

from ultrares.cli.allocation import keep_freed_blocks
from ultrares.cli.app import main


def run() -> None:
    """Run the command line of this process, and end it.

    Raises:
        SystemExit: The process has to end as Python ends one; see :func:`main` for its status.
    """
    keep_freed_blocks()
    try:
        main()
    except SystemExit as stop:
        if stop.code is None or isinstance(stop.code, int):
            _leave(stop.code or 0)
        raise


def _leave(status: int) -> None:
    """End the process if nothing and nobody is left to wait for.

    Python would free what torch defined and a run kept object by object, a sixth of a second, before the system takes
    all of it back at once.
    """
    waited_for = [each for each in threading.enumerate() if not each.daemon]
    if waited_for != [threading.main_thread()] or _is_watched():
        return
    # As Python does, which has no public name for it. Executors would be told before; they have no thread left.
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        # A process may be started without streams, or with one that nobody reads any more.
        if stream is not None and not stream.closed:
            try:
                stream.flush()
            except OSError:
                return  # Python has its own way of saying so, and a status.
    os._exit(status)


def _is_watched() -> bool:
    """Whether somebody in this process goes on after the command: a profiler, a debugger, a prompt."""
    if sys.flags.inspect or sys.gettrace() is not None or sys.getprofile() is not None:
        return True
    # From Python 3.12, where profilers have a place of their own.
    monitoring = getattr(sys, "monitoring", None)
    return monitoring is not None and any(monitoring.get_tool(tool) for tool in range(6))
