"""How much room there is, in memory and on a disk, and how much a product will take."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import psutil
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from ultrares.scene.tile_file import encode
from ultrares.scene.windows import shared
from ultrares.types import Source, Window

LOOKED_AT, LARGEST_SIDE = 9, 1024
"""Places that a product's size is estimated from, and their side in output pixels."""

FEW = 256
"""Pixels of a sample below which it says nothing about shares."""

MARGIN = 1.5
"""How much more a product may take than an enlargement without a model: details, and digits that
rounding leaves."""

OVERVIEWS = 4 / 3
"""Pixels of all overviews and of the product, per pixel of the product."""

_CGROUP = Path("/sys/fs/cgroup")


def available_memory() -> int:
    """Bytes that this process can use in all: what it has, and what is left of machine and container."""
    used = psutil.Process().memory_info().rss
    free = [psutil.virtual_memory().available]
    for limit, usage in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        try:
            free.append(int((_CGROUP / limit).read_text()) - int((_CGROUP / usage).read_text()))
        except (OSError, ValueError):
            # No container, or one without a limit, which is the word "max".
            continue
    return used + max(0, min(free))


def free_disk(folder: Path) -> int:
    """Bytes that can be written to the file system of a folder."""
    return shutil.disk_usage(folder).free


def bytes_in(folder: Path) -> int:
    """What a folder takes; nothing if it is not there."""
    return sum(
        Path(root, name).lstat().st_size for root, _, names in os.walk(folder) for name in names
    )


class _Sampled(Source, Protocol):
    def sample(self) -> tuple[np.ndarray, np.ndarray]: ...

    def looked_at(self) -> Sequence[Window] | None: ...

    def written_share(self, part: Window) -> float: ...


def stored_bytes_per_pixel(source: _Sampled, part: Window, scale: float) -> float:
    """What an output pixel will take on a disk, all bands: estimated from enlarged pieces of the scene.

    Pieces are looked at where a sample of the scene is valid; what is not valid takes next to nothing. Floats,
    whose last digits do not compress, are counted whole.

    Args:
        source: The scene.
        part: Its pixels that are upscaled.
        scale: Output pixels per scene pixel, along one side.
    """
    rows, cols, share = _valid_places(source, part)
    whole = float(source.bands * source.dtype.itemsize)
    if source.dtype.kind == "f" or not len(rows):
        return whole * share
    factor = int(np.ceil(scale))
    side = max(8, LARGEST_SIDE // factor)
    taken = pixels = 0.0
    pieces = min(LOOKED_AT, -(-part.height // side) * -(-part.width // side))
    for index in np.linspace(0, len(rows) - 1, pieces + 2).astype(int)[1:-1]:
        around = Window(rows[index] - side // 2, cols[index] - side // 2, side, side)
        array, valid = source.read(around.clipped(source.shape))
        taken += len(encode(_enlarged(array, factor))) / factor**2
        pixels += valid.any(axis=0).sum()
    return min(whole, MARGIN * taken / max(pixels, 1.0)) * share


def _valid_places(
    source: _Sampled, part: Window
) -> tuple[NDArray[np.intp], NDArray[np.intp], float]:
    """Rows and columns of the scene in a part of it where a sample is valid, and the share of those."""
    squares = source.looked_at()
    if squares is not None:
        return _valid_squares(source, squares, part)
    valid = np.asarray(source.sample()[1].any(axis=0))
    pitch = [size / number for size, number in zip(source.shape, valid.shape, strict=True)]
    (top, left), lengths = part.origin, (part.height, part.width)
    first = [int(start / step) for start, step in zip((top, left), pitch, strict=True)]
    counts = [max(1, round(length / step)) for length, step in zip(lengths, pitch, strict=True)]
    seen = valid[first[0] : first[0] + counts[0], first[1] : first[1] + counts[1]]
    rows, cols = np.nonzero(seen)
    # A sample of a few pixels says little about a share.
    share = float(seen.mean()) if seen.size >= FEW else 1.0
    at = [
        ((places + start + 0.5) * step).astype(np.intp)
        for places, start, step in zip((rows, cols), first, pitch, strict=True)
    ]
    return at[0], at[1], share


def _valid_squares(
    source: _Sampled, squares: Sequence[Window], part: Window
) -> tuple[NDArray[np.intp], NDArray[np.intp], float]:
    """The same of a sample that is made of squares, which lie where anything was ever written."""
    valid = source.sample()[1].any(axis=0)
    sizes = [square.height * square.width for square in squares]
    share = source.written_share(part)
    found: list[Window] = []
    if valid.shape == (1, sum(sizes)):
        pieces = np.split(valid[0], np.cumsum(sizes)[:-1])
        inside = [
            (square, piece)
            for square, piece in zip(squares, pieces, strict=True)
            if shared(square, part)
        ]
        found = [square for square, piece in inside if piece.any()]
        if inside:
            share *= float(np.mean([piece.mean() for _, piece in inside]))
    rows, cols = (
        np.array([start + length // 2 for start, length in spans], np.intp)
        for spans in (
            [(square.row, square.height) for square in found],
            [(square.col, square.width) for square in found],
        )
    )
    return rows, cols, share


def _enlarged(array: np.ndarray, factor: int) -> np.ndarray:
    image = torch.from_numpy(array.astype(np.float64))[None].nan_to_num()
    fine = F.interpolate(image, scale_factor=factor, mode="bicubic")[0].numpy()
    limits = np.iinfo(array.dtype)
    # A little noise, as exact rounding leaves it.
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, fine.shape)
    return np.rint(fine + noise).clip(limits.min, limits.max).astype(array.dtype)
