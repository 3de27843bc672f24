"""Tasks cut from images: what is to be found, what it is found from, and what may help."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
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
        following: The next image of the data set, whatever number of images is used, or None if there is
            no other.
        number: Which of the crops of the image.
        entry: How tasks are cut from it.
    """

    picture: Picture
    following: Picture | None
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

    @property
    def square(self) -> Bytes:
        """The place at its own resolution, read anew each time.

        Raises:
            RasterError: The image is unreadable, too small, or has no data there.
        """
        return read_square(self.picture.path, self.entry.truth, self.number, self.entry.crops)

    @property
    def earlier(self) -> Bytes | None:
        """The same place at another date, if there is one, read anew each time.

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
        square: The place at its own resolution.
    """

    truth: Bytes
    coarse: Bytes
    scale: float
    pseudo: bool
    sensor: SensorModel
    view: View
    square: Bytes
    _references: dict[ReferenceKind, Bytes | None] = field(default_factory=dict, init=False)

    def reference(self, kind: ReferenceKind) -> Bytes | None:
        """What a model is given beside the image; made when it is first asked for.

        Raises:
            ReferenceImageError: There is none of this kind.
        """
        if kind not in self._references:
            self._references[kind] = self._reference(kind)
        return self._references[kind]

    def _reference(self, kind: ReferenceKind) -> Bytes | None:
        if kind == "none":
            return None
        if kind == "itself":
            return resized(self.coarse, self._leak_side)
        if kind == "leak":
            return self._leak(self.square)
        place = self.view if kind == "real" else self._elsewhere
        earlier = place.earlier
        if earlier is None and kind == "real":
            raise ReferenceImageError(f"{self.view.name} has no image of another date")
        return self._leak(place.square) if earlier is None else earlier

    def _leak(self, square: Bytes) -> Bytes:
        """A place at 1.5 times the coarse resolution, or as it is where that is coarser."""
        return resized(square, min(self._leak_side, square.shape[-1]))

    @property
    def _elsewhere(self) -> View:
        """The same crop of the next image."""
        if self.view.following is None:
            raise ReferenceImageError(
                f"{self.view.name} is the only image: there is no other place"
            )
        return replace(self.view, picture=self.view.following)

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
    others = [*pictures[1:], pictures[0]] if len(pictures) > 1 else [None]
    return [
        View(picture, other, number, entry)
        for picture, other in zip(pictures[:most], others, strict=False)
        for number in range(entry.crops)
    ]


def case_of(view: View, scale: float, sensor: SensorModel) -> Case:
    """The task of one place at a scale.

    Raises:
        RasterError: The image is unreadable, too small, or has no data there.
    """
    square = view.square
    native = square.shape[-1]
    if view.entry.truth is not None:
        side = max(2, round(native / scale))
        coarse = reduced(square, side, sensor)
        return Case(square, coarse, native / side, False, sensor, view, square)  # noqa: FBT003
    assert view.entry.coarse is not None, "a data entry says one of both sizes"
    side, fine = view.entry.coarse, round(view.entry.coarse * scale)
    if native < side:
        raise RasterError(
            f"{view.picture.path} has {native} pixels a side, fewer than the {side} it is to be reduced to"
        )
    coarse, truth = reduced(square, side, sensor), resized(square, fine)
    return Case(truth, coarse, fine / side, fine > native, sensor, view, square)


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
