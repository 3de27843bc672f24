"""A start that leaves out what no command of ours uses."""

from __future__ import annotations

import ctypes
import gc
import inspect
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import ModuleType
from typing import Any

from ultrares.cli.postponed import postponed_parts


@contextmanager
def quick_start() -> Iterator[None]:
    """Import torch, and what is built on it, without what serves compilers and absent GPUs."""
    with ExitStack() as shortcuts:
        for shortcut in (_no_collection, _known_frames, postponed_parts, _no_driver_bindings):
            shortcuts.enter_context(shortcut())
        yield


@contextmanager
def _no_collection() -> Iterator[None]:
    """Do not look for garbage, now or at the end of the process.

    What torch defines on import lives as long as the process, but is looked through a dozen times while it
    is imported and once more where Python ends the process itself, half a second in all.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()


@contextmanager
def _known_frames() -> Iterator[None]:
    """Take the module of a frame from the frame.

    torch notes where some of its operators were defined. To find the module of a single line, inspect asks the file
    system for the true path of every module there is, of which a command has over a thousand by then.
    """
    search = inspect.getmodule

    def known(found: Any, _filename: str | None = None) -> ModuleType | None:
        if inspect.isframe(found):
            return sys.modules.get(found.f_globals.get("__name__", ""))
        return search(found, _filename)

    inspect.getmodule = known  # type: ignore[assignment]
    try:
        yield
    finally:
        inspect.getmodule = search


@contextmanager
def _no_driver_bindings() -> Iterator[None]:
    """Spare torch its optional bindings of the CUDA driver where there is no such driver."""
    if sys.platform != "linux" or "cuda" in sys.modules or _has_driver():
        yield
        return
    # So Python is told that there is no such module.
    sys.modules["cuda"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules["cuda"]


def _has_driver() -> bool:
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True
