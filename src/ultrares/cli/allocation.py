"""How the command's own process keeps the memory that its work frees again and again."""

from __future__ import annotations

import ctypes
import os
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Parameters of glibc's ``mallopt``."""

LARGEST_KEPT = 32 << 20
"""The largest block, in bytes, that is kept for the next that asks: the most that glibc goes to by itself."""


def keep_freed_blocks() -> None:
    """Have glibc begin with the largest thresholds that it would go to by itself.

    Until it has seen such blocks freed, every map of features is a piece of fresh memory, which the kernel clears page
    by page. Whoever has set thresholds in the environment knows better.
    """
    told = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES")
    if sys.platform != "linux" or any(name in os.environ for name in told):
        return
    # Other C libraries have none.
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT)
        mallopt(M_TRIM_THRESHOLD, 2 * LARGEST_KEPT)
