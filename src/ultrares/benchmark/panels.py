"""Rows of pictures: what went in, what methods made of it, and the truth, each with its middle magnified."""

from __future__ import annotations

import base64
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import MemoryFile

from ultrares.benchmark.baselines import BASELINES
from ultrares.benchmark.cases import Bytes, resized
from ultrares.benchmark.pictures import COARSE, TRUTH, Pictures
from ultrares.benchmark.results import Key

OVERVIEW, ZOOM, MAGNIFIED = 192, 96, 2
"""Sides of the picture and of its magnified middle, in pixels, and how often that is repeated."""

BICUBIC = list(BASELINES)[1]


@dataclass(frozen=True)
class Shown:
    """One picture of a panel.

    Attributes:
        name: What made it.
        note: Its figure, in words, or nothing.
        overview: The picture, as a data URI.
        zoom: Its magnified middle, as a data URI.
    """

    name: str
    note: str
    overview: str
    zoom: str


@dataclass(frozen=True)
class Panel:
    """The pictures of one image at one scale.

    Attributes:
        data: The data set.
        image: The image.
        scale: The scale.
        shown: From the low resolution to the truth.
    """

    data: str
    image: str
    scale: float
    shown: tuple[Shown, ...]


def panel(
    pictures: Pictures, key: Key, labels: Sequence[str], note: Callable[[str], str]
) -> Panel | None:
    """The pictures that a run kept of an image at a scale; None if there is no truth among them.

    Args:
        pictures: The folder.
        key: Which image and scale.
        labels: Methods, in order, beside the bicubic interpolation.
        note: The figure of a method, in words.
    """
    names = [COARSE, BICUBIC, *(label for label in labels if label not in BASELINES), TRUTH]
    found = {
        name: path
        for name in names
        if (path := pictures.path(Key(key.data, key.image, key.scale, name))).is_file()
    }
    if TRUTH not in found:
        return None
    shown = [
        _shown(name, read_picture(path), note(name) if name not in (COARSE, TRUTH) else "")
        for name, path in found.items()
    ]
    return Panel(key.data, key.image, key.scale, tuple(shown))


def read_picture(path: Path) -> Bytes:
    """A picture that a run kept."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path) as file:
            pixels: Bytes = file.read()
    return pixels


def _shown(name: str, image: Bytes, note: str) -> Shown:
    side = image.shape[-1]
    zoom = min(ZOOM, side)
    start = (side - zoom) // 2
    middle = image[:, start : start + zoom, start : start + zoom]
    large = middle.repeat(MAGNIFIED, axis=1).repeat(MAGNIFIED, axis=2)
    return Shown(name, note, _as_uri(resized(image, OVERVIEW), "JPEG"), _as_uri(large, "PNG"))


def _as_uri(image: Bytes, driver: str) -> str:
    bands, height, width = image.shape
    options = {"quality": 92} if driver == "JPEG" else {}
    with warnings.catch_warnings(), MemoryFile() as memory:
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with memory.open(
            driver=driver, count=bands, height=height, width=width, dtype="uint8", **options
        ) as file:
            file.write(np.ascontiguousarray(image))
        encoded = base64.b64encode(memory.read()).decode()
    return f"data:image/{driver.lower()};base64,{encoded}"
