"""Pictures that a run keeps for its report: the middle of images, as PNG files beside the results."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ultrares.benchmark.cases import Bytes, Case
from ultrares.benchmark.results import Key
from ultrares.data.pictures import write_png
from ultrares.errors import OutputError

FOLDER = "pictures"
SIDE = 512
"""Most pixels along the side of the part of an image that is kept."""

TRUTH, COARSE = "truth", "low resolution"
"""What stands in the place of a label for the images that no method made."""


@dataclass(frozen=True)
class Pictures:
    """The pictures in a folder of results.

    Attributes:
        folder: Where the results are.
    """

    folder: Path

    def path(self, key: Key) -> Path:
        """Where the picture of a cell is kept."""
        words = "|".join((key.data, key.image, f"{key.scale:g}", key.label))
        return self.folder / FOLDER / f"{hashlib.sha256(words.encode()).hexdigest()[:16]}.png"

    def keep(self, key: Key, image: Bytes) -> None:
        """Write the middle of an image.

        Raises:
            OutputError: The disk is full or gone.
        """
        path = self.path(key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_png(path, middle(image))
        except OSError as error:
            raise OutputError(f"{path} cannot be written: {error}") from error

    def keep_case(self, key: Key, case: Case) -> None:
        """Write the middle of the truth, and the coarse pixels there, enlarged without interpolation.

        Raises:
            OutputError: The disk is full or gone.
        """
        self.keep(Key(key.data, key.image, key.scale, TRUTH), case.truth)
        self.keep(Key(key.data, key.image, key.scale, COARSE), nearest(case))


def middle(image: Bytes) -> Bytes:
    """The middle of an image, at most 512 pixels a side."""
    rows, cols = image.shape[-2:]
    height, width = min(rows, SIDE), min(cols, SIDE)
    top, left = (rows - height) // 2, (cols - width) // 2
    return np.ascontiguousarray(image[:, top : top + height, left : left + width])


def nearest(case: Case) -> Bytes:
    """The coarse image at the truth's size, each pixel a square."""
    side = case.truth.shape[-1]
    small = case.coarse.shape[-1]
    places = (np.arange(side) + 0.5) * small / side
    index = places.astype(int)
    return case.coarse[:, index][:, :, index]
