"""How much room there is, in memory and on a disk, and how much a product will take."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import psutil
import torch
from torch.nn import functional as F

from ultrares.scene.tile_file import encode
from ultrares.scene.windows import clipped
from ultrares.types import Shape, Source, Window

LOOKED_AT, LARGEST_SIDE = 3, 1024
"""Places along each axis that a product's size is estimated from, and their side in output pixels."""

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


def stored_bytes_per_pixel(source: Source, part: Window, scale: float) -> float:
    """What an output pixel will take on a disk, all bands: estimated from enlarged pieces of the scene.

    Floats, whose last digits do not compress, are counted whole where they are valid.

    Args:
        source: The scene.
        part: Its pixels that are upscaled.
        scale: Output pixels per scene pixel, along one side.
    """
    factor = int(np.ceil(scale))
    side = max(8, LARGEST_SIDE // factor)
    taken = pixels = 0.0
    for window in _lattice(part, source.shape, side):
        array, valid = source.read(window)
        area = window.height * window.width
        pixels += area
        if array.dtype.kind == "f":
            taken += valid.sum() * array.dtype.itemsize
        else:
            taken += len(encode(_enlarged(array, factor))) / factor**2
    whole = float(source.bands * source.dtype.itemsize)
    return min(whole, MARGIN * taken / pixels)


def _lattice(part: Window, shape: Shape, side: int) -> list[Window]:
    """Squares spread evenly over a part of the scene."""
    spots = []
    for first, length in ((part.row, part.height), (part.col, part.width)):
        room = max(0, length - side)
        spots.append(sorted({first + room * i // (LOOKED_AT - 1) for i in range(LOOKED_AT)}))
    height, width = min(side, part.height), min(side, part.width)
    return [clipped(Window(row, col, height, width), shape) for row in spots[0] for col in spots[1]]


def _enlarged(array: np.ndarray, factor: int) -> np.ndarray:
    image = torch.from_numpy(array.astype(np.float64))[None].nan_to_num()
    fine = F.interpolate(image, scale_factor=factor, mode="bicubic")[0].numpy()
    limits = np.iinfo(array.dtype)
    # A little noise, as exact rounding leaves it.
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, fine.shape)
    return np.rint(fine + noise).clip(limits.min, limits.max).astype(array.dtype)
