"""A part of two images that are compared, with the neighbours that its pixels need."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Protocol

from torch import Tensor

from ultrares.types import Shape, Window

SIDE = 576
"""Side of the squares that images are compared in: a multiple of 96 and 64, which metrics look at as one."""

WIDE_SIDE = 960
"""The same where a network looks at the squares: a multiple of 96 and 64 too, and larger than most images
that networks are compared on, which it then sees whole."""


class Pair(NamedTuple):
    """Pixels of both images in one window.

    Attributes:
        estimate: Doubles of shape (C, h, w), finite everywhere.
        truth: The same shape.
        valid: Where all bands of both can be believed, shape (h, w).
        missing: Where the truth has data and the estimate has none, shape (h, w).
    """

    estimate: Tensor
    truth: Tensor
    valid: Tensor
    missing: Tensor


@dataclass(frozen=True)
class Patch:
    """A pair of windows, of which the pixels of ``core`` are counted here and the others elsewhere.

    Attributes:
        pair: The pixels.
        window: Where they lie in the images.
        core: The counted part of ``window``.
    """

    pair: Pair
    window: Window
    core: Window

    @property
    def inner(self) -> tuple[slice, slice]:
        """Rows and columns of the core within the patch."""
        top, left = self.core.row - self.window.row, self.core.col - self.window.col
        return slice(top, top + self.core.height), slice(left, left + self.core.width)

    @cached_property
    def counted(self) -> tuple[Tensor, Tensor]:
        """Valid pixels of the core, of the estimate and of the truth, both (C, n)."""
        inside = (slice(None), *self.inner)
        valid = self.pair.valid[self.inner]
        images = self.pair.estimate[inside], self.pair.truth[inside]
        if bool(valid.all()):
            return images[0].flatten(1), images[1].flatten(1)
        return images[0][:, valid], images[1][:, valid]


class Tally(Protocol):
    """A metric that is added up patch by patch."""

    @property
    def halo(self) -> int:
        """Pixels around a core that its share depends on."""

    @property
    def side(self) -> int:
        """Side of the squares it is added up over, :data:`SIDE` or :data:`WIDE_SIDE`."""

    def add(self, patch: Patch) -> None:
        """Count the core of a patch."""

    def scores(self) -> dict[str, float]:
        """What was found, by name; not-a-number where nothing could be counted."""


def patches(
    shape: Shape, read: Callable[[Window], Pair], *, halo: int, side: int = SIDE
) -> Iterator[Patch]:
    """Cut a pair of images into squares, row by row, each with its halo as far as the images reach.

    Args:
        shape: Height and width of both images.
        read: Returns a window of both.
        halo: Pixels around each square.
        side: Side of the squares, a multiple of those that metrics look at as one.
    """
    for row in range(0, shape.height, side):
        for col in range(0, shape.width, side):
            core = Window(row, col, min(side, shape.height - row), min(side, shape.width - col))
            window = _grown(core, halo, shape)
            yield Patch(read(window), window, core)


def _grown(core: Window, halo: int, shape: Shape) -> Window:
    top, left = max(core.row - halo, 0), max(core.col - halo, 0)
    bottom = min(core.row + core.height + halo, shape.height)
    right = min(core.col + core.width + halo, shape.width)
    return Window(top, left, bottom - top, right - left)
