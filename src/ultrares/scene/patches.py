"""A scene of which only some windows are at hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ultrares.scene.windows import inside
from ultrares.types import Shape, Window


@dataclass(frozen=True)
class Patch:
    """The pixels of a window of a scene.

    Attributes:
        window: Where they lie.
        array: Digital numbers, (C, h, w).
        valid: Validity, (C, h, w).
    """

    window: Window
    array: np.ndarray
    valid: np.ndarray


@dataclass(frozen=True)
class PatchSource:
    """A scene as a source, which must not be asked for pixels outside its patches.

    Attributes:
        shape: Height and width of the whole scene.
        bands: Number of bands.
        dtype: Data type of the pixels.
        patches: What is at hand; nothing where only places are computed.
    """

    shape: Shape
    bands: int
    dtype: np.dtype
    patches: Sequence[Patch] = ()

    def read(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """Pixels and validity of a window inside one of the patches, both (C, h, w)."""
        for patch in self.patches:
            top, left = window.row - patch.window.row, window.col - patch.window.col
            here = Window(top, left, window.height, window.width)
            if inside(here, Shape(patch.window.height, patch.window.width)):
                place = (slice(None), slice(top, top + here.height), slice(left, left + here.width))
                return patch.array[place], patch.valid[place]
        raise AssertionError(f"{window} lies in no patch: the need of a tile was computed wrongly")
