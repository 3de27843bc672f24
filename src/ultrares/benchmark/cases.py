"""Tasks cut from images: what is to be found, what it is found from, and what may help."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from ultrares.benchmark.plan import DataEntry, ReferenceKind
from ultrares.data.catalogue import Picture
from ultrares.errors import RasterError, ReferenceImageError
from ultrares.scene.radiometry import Radiometry
from ultrares.scene.source import RasterSource
from ultrares.sensor.models import SensorModel
from ultrares.sensor.reduction import reduce_to
from ultrares.types import Window

Bytes = NDArray[np.uint8]
"""An image of red, green and blue, (3, h, w)."""

LEAK = 3, 2
"""The papers' reference of 96 pixels beside an image of 64."""


@dataclass(frozen=True, eq=False)
class View:
    """A place in an image.

    Attributes:
        picture: The image.
        number: Which of the crops of the image.
        entry: How tasks are cut from it.
    """

    picture: Picture
    number: int
    entry: DataEntry

    @property
    def name(self) -> str:
        """The image, and the crop where there are several."""
        return self.picture.name + (f" #{self.number + 1}" if self.entry.crops > 1 else "")

    @property
    def stamp(self) -> str:
        """Size and time of the file."""
        state = self.picture.path.stat()
        return f"{state.st_size}-{state.st_mtime_ns}"

    @cached_property
    def square(self) -> Bytes:
        """The place at its own resolution.

        Raises:
            RasterError: The image is unreadable, too small, or has no data there.
        """
        return read_square(self.picture.path, self.entry.truth, self.number, self.entry.crops)

    @cached_property
    def earlier(self) -> Bytes | None:
        """The same place at another date, if there is one.

        Raises:
            RasterError: The image is unreadable, too small, or has no data there.
        """
        path = self.picture.earlier
        if path is None:
            return None
        return read_square(path, self.entry.truth, self.number, self.entry.crops)


@dataclass(frozen=True, eq=False)
class Case:
    """One task.

    Attributes:
        truth: What is to be found.
        coarse: What it is found from.
        scale: Ratio of their sides.
        pseudo: Whether the truth is an enlargement.
        sensor: What leads from the truth to the coarse image.
        view: The place.
        other: Another place.
    """

    truth: Bytes
    coarse: Bytes
    scale: float
    pseudo: bool
    sensor: SensorModel
    view: View
    other: View

    def reference(self, kind: ReferenceKind) -> Bytes | None:
        """What a model is given beside the image.

        Raises:
            ReferenceImageError: There is none of this kind.
        """
        if kind == "none":
            return None
        if kind == "itself":
            return resized(self.coarse, self._leak_side)
        if kind == "leak":
            return resized(self.view.square, min(self._leak_side, self.view.square.shape[-1]))
        real = self.view.earlier if kind == "real" else self.other.earlier
        if real is not None:
            return real
        if kind == "real":
            raise ReferenceImageError(f"{self.view.name} has no image of another date")
        if self.other is self.view:
            raise ReferenceImageError(
                f"{self.view.name} is the only image: there is no other place"
            )
        return resized(self.other.square, min(self._leak_side, self.other.square.shape[-1]))

    @property
    def _leak_side(self) -> int:
        numerator, denominator = LEAK
        return self.coarse.shape[-1] * numerator // denominator


def views(entry: DataEntry, pictures: Sequence[Picture], limit: int | None) -> list[View]:
    """The places of a data set, a smaller number being the beginning of a larger one.

    Args:
        entry: How many images and crops.
        pictures: The images in their order.
        limit: Images that are used at most, if fewer than the entry says.
    """
    most = min(count for count in (entry.limit, limit, len(pictures)) if count is not None)
    return [
        View(picture, number, entry) for picture in pictures[:most] for number in range(entry.crops)
    ]


def cases(places: Sequence[View], scale: float, sensor: SensorModel) -> Iterator[Case]:
    """The tasks of places at a scale; the other place of each is the next one.

    Raises:
        RasterError: An image is unreadable, too small, or has no data there.
    """
    for index, view in enumerate(places):
        yield case_of(view, places[(index + 1) % len(places)], scale, sensor)


def case_of(view: View, other: View, scale: float, sensor: SensorModel) -> Case:
    """The task of one place at a scale.

    Raises:
        RasterError: The image is unreadable, too small, or has no data there.
    """
    native = view.square.shape[-1]
    if view.entry.truth is not None:
        side = max(2, round(native / scale))
        coarse = reduced(view.square, side, sensor)
        return Case(view.square, coarse, native / side, False, sensor, view, other)  # noqa: FBT003
    assert view.entry.coarse is not None, "a data entry says one of both sizes"
    side, fine = view.entry.coarse, round(view.entry.coarse * scale)
    if native < side:
        raise RasterError(
            f"{view.picture.path} has {native} pixels a side, fewer than the {side} it is to be reduced to"
        )
    coarse = reduced(view.square, side, sensor)
    truth = resized(view.square, fine)
    return Case(truth, coarse, fine / side, fine > native, sensor, view, other)


def reduced(image: Bytes, side: int, sensor: SensorModel) -> Bytes:
    """An image as the sensor would see it, rounded."""
    small = reduce_to(torch.from_numpy(image)[None].float(), (side, side), sensor)[0]
    return as_bytes(small)


def resized(image: Bytes, side: int) -> Bytes:
    """An image brought to another size by the antialiased bicubic kernel, rounded."""
    if image.shape[-1] == side:
        return image
    fine = F.interpolate(
        torch.from_numpy(image)[None].float(), size=(side, side), mode="bicubic", antialias=True
    )
    return as_bytes(fine[0])


def as_bytes(image: torch.Tensor) -> Bytes:
    """An image of 0 to 255 as unsigned bytes."""
    rounded: Bytes = image.round().clamp(0, 255).byte().numpy()
    return rounded


def read_square(path: Path, side: int | None, number: int, count: int) -> Bytes:
    """A square of an image: the largest in its middle, or one of several side by side.

    Data other than unsigned bytes are brought to them by their own range, as upscaling would see them.

    Args:
        path: The image.
        side: Pixels a side; None for the largest square.
        number: Which of ``count``.
        count: How many lie side by side.

    Raises:
        RasterError: The image is unreadable, too small, or has no data there.
    """
    with RasterSource(path) as source:
        height, width = source.shape
        size = min(height, width) if side is None else side
        if size > min(height, width):
            raise RasterError(
                f"{path} has {width} x {height} pixels, too few for a square of {size}: leave it out, or set "
                "a smaller truth in the plan"
            )
        window = Window(*_corner(height, width, size, number, count), size, size)
        pixels, valid = source.read(window)
        radiometry = Radiometry.of(source)
        if not radiometry.lit.any() or not valid[radiometry.lit].all():
            raise RasterError(f"{path} has no data in parts of its square of {size} pixels")
        unit = radiometry.normalise(pixels, valid)[0, :3].numpy()
    picked = unit[np.arange(3) % len(unit)]
    return np.rint(255 * np.clip(picked, 0, 1)).astype(np.uint8)


def _corner(height: int, width: int, side: int, number: int, count: int) -> tuple[int, int]:
    """First row and column of one of several squares, spread along the longer axis, in the middle of the other."""
    share = (number + 1) / (count + 1)
    row, col = height - side, width - side
    return (row // 2, round(share * col)) if width >= height else (round(share * row), col // 2)
