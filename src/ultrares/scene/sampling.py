"""Which pixels of a scene tell its radiometric range, without reading all of a large one."""

from __future__ import annotations

import numpy as np
from rasterio.io import DatasetReader

from ultrares.scene.windows import clipped
from ultrares.types import Shape, Window

LARGE = 2**28
"""Pixels from which GDAL's reduced view, which decodes every block it touches, takes too long."""

PLACES = 1024
SIDE = 32
"""So many squares of this side are looked at instead: as many pixels as the reduced view has at most."""

MOST_BLOCKS = 2**21
"""Blocks of a file that are asked whether they were ever written, in a few seconds."""

MOST_SCANNED = 2**37
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
    # A tile may reach beyond the scene.
    height, width = map(min, dataset.block_shapes[0], shape)
    written = written_blocks(dataset)
    if not written:
        side = max(1, int(count**0.5))
        rows, cols = (np.linspace(0, length - 1, side).astype(int) for length in shape)
        return [_square(int(row), int(col), shape) for row in rows for col in cols]
    chosen = np.linspace(0, len(written) - 1, min(count, len(written))).astype(int)
    middles = [(written[i][0] * height + height // 2, written[i][1] * width) for i in chosen]
    # Strips are as wide as the scene: one after the other is looked at a little farther to the right.
    shift = np.linspace(0, width - 1, len(middles) + 2).astype(int)[1:-1]
    if width < shape.width:
        shift = np.full(len(middles), width // 2)
    return [
        _square(row, col + int(right), shape)
        for (row, col), right in zip(middles, shift, strict=True)
    ]


def written_blocks(dataset: DatasetReader) -> list[tuple[int, int]]:
    """Rows and columns of the blocks of a sparse GeoTIFF that were written; empty where it cannot be told."""
    height, width = dataset.block_shapes[0]
    down, across = -(-dataset.height // height), -(-dataset.width // width)
    if dataset.driver != "GTiff" or down * across > MOST_BLOCKS:
        return []
    return [
        (row, col)
        for row in range(down)
        for col in range(across)
        if dataset.get_tag_item(f"BLOCK_OFFSET_{col}_{row}", "TIFF", bidx=1) is not None
    ]


def _square(row: int, col: int, shape: Shape) -> Window:
    row, col = min(row, shape.height - 1), min(col, shape.width - 1)
    return clipped(Window(row - SIDE // 2, col - SIDE // 2, SIDE, SIDE), shape)
