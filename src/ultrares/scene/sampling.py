"""Which pixels of a scene tell its radiometric range, without reading all of a large one."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import rasterio
from rasterio.io import DatasetReader

from ultrares.scene.windows import tiles, whole
from ultrares.types import Shape, Window

LARGE = 2**28
"""Pixels from which GDAL's reduced view, which decodes every block it touches, takes too long."""

PLACES = 1024
SIDE = 32
"""So many squares of this side are looked at instead: as many pixels as the reduced view has at most."""

MOST_BLOCKS = 2**21
"""Blocks of a file that are asked whether they were ever written, in a few seconds."""

MOST_SCANNED = 2**34
"""Pixels that are looked through at most for one that is valid."""


def squares(dataset: DatasetReader, bands: int, largest: int) -> list[Window] | None:
    """Where to look at a large scene without overviews; None where a reduced view is quick.

    In a file with blocks that were never written, only those that were are looked at. The squares depend on
    the file alone, never on the part of it that is upscaled.

    Args:
        dataset: The scene.
        bands: Number of bands that are read.
        largest: Number of values that may be read.
    """
    shape = Shape(dataset.height, dataset.width)
    if shape.height * shape.width <= LARGE or dataset.overviews(1):
        return None
    count = max(1, min(PLACES, largest // (bands * SIDE**2)))
    written = written_blocks(dataset)
    if not written:
        return _lattice(whole(shape), max(1, math.isqrt(count)), shape)
    chosen = np.linspace(0, len(written) - 1, min(count, len(written))).astype(int)
    side = max(1, math.isqrt(count // len(chosen)))
    return [square for i in chosen for square in _lattice(written[i], side, shape)]


def searched(dataset: DatasetReader, side: int) -> Iterator[Window]:
    """Windows of at most ``side`` pixels in which all valid pixels lie, if there are any."""
    shape = Shape(dataset.height, dataset.width)
    written = written_blocks(dataset) if shape.height * shape.width > LARGE else None
    for part in [whole(shape)] if written is None else written:
        yield from tiles(part, side)


def written_blocks(dataset: DatasetReader) -> list[Window] | None:
    """The blocks of a sparse GeoTIFF that were written; None where it cannot be told."""
    height, width = dataset.block_shapes[0]
    shape = Shape(dataset.height, dataset.width)
    down, across = -(-shape.height // height), -(-shape.width // width)
    if dataset.driver != "GTiff" or down * across > MOST_BLOCKS:
        return None
    # Within an environment GDAL's complaints about broken files go to the log, not to the terminal.
    with rasterio.Env():
        return [
            Window(row * height, col * width, height, width).clipped(shape)
            for row in range(down)
            for col in range(across)
            if dataset.get_tag_item(f"BLOCK_OFFSET_{col}_{row}", "TIFF", bidx=1) is not None
        ]


def _lattice(part: Window, side: int, shape: Shape) -> list[Window]:
    """Squares around ``side`` by ``side`` points that are spread evenly over a part of the scene."""
    rows, cols = (
        start + (length * (2 * np.arange(side) + 1) // (2 * side))
        for start, length in ((part.row, part.height), (part.col, part.width))
    )
    corners = {(int(row) - SIDE // 2, int(col) - SIDE // 2) for row in rows for col in cols}
    return [Window(row, col, SIDE, SIDE).clipped(shape) for row, col in sorted(corners)]
