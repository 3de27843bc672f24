"""A start that the garbage collector does not slow down."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quick_start() -> Iterator[None]:
    """Import something big without looking for garbage in it, now or at the end of the process.

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
