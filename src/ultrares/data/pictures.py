"""Small PNG pictures of training batches."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning

MOST_ROWS = 4
GAP = 2


def contact_sheet(columns: Sequence[np.ndarray]) -> NDArray[np.uint8]:
    """Put batches side by side, one sample a row, the first four at most, white between them.

    Args:
        columns: Batches of one shape (B, 3, h, w), in [0, 1]; values beyond are clipped.

    Returns:
        Shape (3, H, W).
    """
    grid = np.stack([column[:MOST_ROWS] for column in columns])
    count, rows, bands, height, width = grid.shape
    framed = np.ones((count, rows, bands, height + GAP, width + GAP))
    framed[..., :height, :width] = np.clip(grid, 0, 1)
    sheet = framed.transpose(2, 1, 3, 0, 4).reshape(
        bands, rows * (height + GAP), count * (width + GAP)
    )
    return np.rint(255 * sheet[:, :-GAP, :-GAP]).astype(np.uint8)


def write_png(path: Path, image: NDArray[np.uint8]) -> None:
    """Write an RGB image (3, H, W) as a PNG file."""
    _, height, width = image.shape
    with warnings.catch_warnings():
        # A picture of a batch is of no place on Earth.
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(
            path, "w", driver="PNG", count=3, height=height, width=width, dtype="uint8"
        ) as file:
            file.write(image)
