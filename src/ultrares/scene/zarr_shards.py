"""Which files of a Zarr hold a window, and whether they still are what was written."""

from __future__ import annotations

import os
import zlib
from collections.abc import Mapping, Set
from contextlib import suppress
from itertools import product
from pathlib import Path

from ultrares.scene.staging import sync
from ultrares.scene.zarr_layout import IMAGE, MASK
from ultrares.types import Shape, Window


def holds_shards(window: Window, shape: Shape, side: int) -> bool:
    """Whether a window consists of whole shards, so that nothing else is in their files.

    Args:
        window: Pixels of the array.
        shape: Size of the array, at whose end shards are cut.
        side: Of a shard.
    """
    return all(
        first % side == 0 and ((first + length) % side == 0 or first + length == size)
        for first, length, size in (
            (window.row, window.height, shape.height),
            (window.col, window.width, shape.width),
        )
    )


def files_of(window: Window, side: int, *, masked: bool) -> list[str]:
    """The files, relative to the group, of the shards that a window consists of."""
    rows, cols = (
        range(first // side, -(-(first + length) // side))
        for first, length in ((window.row, window.height), (window.col, window.width))
    )
    arrays = [f"{IMAGE}/c/0", *([f"{MASK}/c"] if masked else [])]
    return [f"{array}/{row}/{col}" for array, row, col in product(arrays, rows, cols)]


def checksums(folder: Path, names: list[str]) -> dict[str, int]:
    """Checksums of those files that exist, once they are on the disk; shards without data have none.

    Raises:
        OSError: The disk is failing.
    """
    found = {}
    for name in names:
        with suppress(FileNotFoundError):
            found[name] = zlib.crc32((folder / name).read_bytes())
            sync(folder / name)
    return found


def fit(folder: Path, wanted: Mapping[str, int]) -> bool:
    """Whether files are there and have their checksums."""
    try:
        return all(zlib.crc32((folder / name).read_bytes()) == wanted[name] for name in wanted)
    except OSError:
        return False


def keep_only(folder: Path, names: Set[str]) -> None:
    """Remove every other file of a group, what a killed writer left of one as well, and empty folders."""
    for root, _, files in os.walk(folder, topdown=False):
        for file in files:
            path = Path(root, file)
            if path.relative_to(folder).as_posix() not in names:
                path.unlink()
        with suppress(OSError):
            Path(root).rmdir()
