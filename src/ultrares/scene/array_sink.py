"""Where pixels go that stay in memory."""

from __future__ import annotations

import numpy as np

from ultrares.types import Shape, Window


class ArraySink:
    """An array in memory.

    Attributes:
        array: The result, shape (C, H, W).
    """

    def __init__(self, bands: int, shape: Shape, dtype: np.dtype) -> None:
        self.array = np.empty((bands, *shape), dtype=dtype)

    def write(self, window: Window, array: np.ndarray, valid: np.ndarray) -> None:
        """Store pixels (C, h, w) at a window."""
        del valid
        rows = slice(window.row, window.row + window.height)
        cols = slice(window.col, window.col + window.width)
        self.array[:, rows, cols] = array

    def commit(self) -> None:
        """Nothing to publish."""
