"""Blocks that are freed are kept for the next ones, unless the environment says otherwise."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys

import pytest

PROGRAM = """
import ctypes
from ultrares.cli.allocation import keep_freed_blocks

keep_freed_blocks()
library = ctypes.CDLL(None)
library.malloc.restype = ctypes.c_void_p
library.malloc.argtypes = [ctypes.c_size_t]


class Info(ctypes.Structure):
    names = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"
    _fields_ = [(name, ctypes.c_size_t) for name in names.split()]


library.mallinfo2.restype = Info
library.free.argtypes = [ctypes.c_void_p]
before = library.mallinfo2()
block = library.malloc(20 << 20)
mapped, arena = library.mallinfo2().hblkhd - before.hblkhd, library.mallinfo2().arena
library.free(block)
print(mapped >> 20, arena - library.mallinfo2().arena >> 20)
"""

IS_GLIBC = sys.platform == "linux" and hasattr(ctypes.CDLL(None), "mallinfo2")
ENVIRONMENT = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith("MALLOC_") and name != "GLIBC_TUNABLES"
}


def mapped_and_trimmed(**environment: str) -> tuple[int, ...]:
    """Megabytes of a block of 20 that the kernel was asked for, and that the heap gave back when it was freed."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        check=True,
        env={**ENVIRONMENT, **environment},
    )
    return tuple(int(word) for word in done.stdout.split())


@pytest.mark.skipif(not IS_GLIBC, reason="another C library")
def test_blocks_come_from_what_is_kept() -> None:
    assert mapped_and_trimmed() == (0, 0)


@pytest.mark.skipif(not IS_GLIBC, reason="another C library")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MALLOC_MMAP_THRESHOLD_", "1000000"),
        ("GLIBC_TUNABLES", "glibc.malloc.mmap_threshold=1000000"),
    ],
)
def test_the_environment_knows_better(name: str, value: str) -> None:
    assert mapped_and_trimmed(**{name: value})[0] == 20
