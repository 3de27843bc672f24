"""An output grid of any scale, as it lies on the scene's pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from ultrares.types import Shape, Window

SNAP = 1e-6
"""Scales and edges this close to whole numbers are whole: what is left of coordinates stored as text."""


@dataclass(frozen=True)
class Axis:
    """One axis of an output grid, on the axis of the scene.

    Attributes:
        start: Where the first output pixel begins, in scene pixels.
        pitch: Scene pixels per output pixel.
        size: Number of output pixels.
    """

    start: float
    pitch: float
    size: int

    def edges(self, first: int, count: int) -> NDArray[np.float64]:
        """Edges of ``count`` output pixels from number ``first``, in scene pixels, shape (count + 1,)."""
        return self.start + np.arange(first, first + count + 1, dtype=np.float64) * self.pitch

    def owners(self, first: int, count: int) -> NDArray[np.intp]:
        """The scene pixels that the centres of ``count`` output pixels from number ``first`` lie in, (count,).

        A centre on an edge belongs to the pixel after it, whatever rounding makes of it.
        """
        edges = self.edges(first, count)
        return np.floor((edges[:-1] + edges[1:]) / 2 + SNAP).astype(np.intp)

    def touching(self, start: float, stop: float) -> tuple[int, int]:
        """The first output pixel that overlaps an interval of the scene, and the one after the last."""
        first = math.floor((start - self.start) / self.pitch + SNAP)
        last = math.ceil((stop - self.start) / self.pitch - SNAP)
        return max(0, first), min(self.size, last)

    def part(self, first: int, count: int) -> Axis:
        """The axis of some of its pixels."""
        return Axis(self.start + first * self.pitch, self.pitch, count)


@dataclass(frozen=True)
class TargetGrid:
    """Where the output pixels lie on the scene.

    Attributes:
        rows: Along the scene's rows.
        cols: Along the scene's columns.
        placed: From its pixel corners to coordinates where another raster says it, to the last bit.
    """

    rows: Axis
    cols: Axis
    placed: Affine | None = None

    @classmethod
    def of_factor(cls, scene: Shape, factor: int) -> TargetGrid:
        """Every scene pixel as a block of ``factor`` by ``factor``."""
        rows, cols = (Axis(0.0, 1 / factor, factor * length) for length in scene)
        return cls(rows, cols)

    @property
    def scale(self) -> float:
        """Output pixels per scene pixel along one side; the geometric mean where the axes differ."""
        return 1 / math.sqrt(self.rows.pitch * self.cols.pitch)

    @property
    def factor(self) -> int | None:
        """The scale, if it is whole and every scene pixel is a block of whole output pixels."""
        factor = round(1 / self.rows.pitch)
        edges = (self.rows.start, self.cols.start)
        if factor < 2 or any(abs(edge - round(edge)) > SNAP for edge in edges):
            return None
        for axis in (self.rows, self.cols):
            # Over the whole axis the error must stay below what is snapped.
            if abs(axis.pitch * factor - 1) * axis.size / factor > SNAP or axis.size % factor:
                return None
        return factor

    def covers(self, scene: Shape) -> bool:
        """Whether it covers a scene exactly."""
        return self.moved(Window(0, 0, *scene)) <= SNAP

    def transform(self, scene: Affine) -> Affine:
        """From output pixel corners to coordinates, given the scene's transform."""
        if self.placed is not None:
            return self.placed
        corner = Affine.translation(self.cols.start, self.rows.start)
        return scene @ corner @ Affine.scale(self.cols.pitch, self.rows.pitch)

    def moved(self, window: Window) -> float:
        """How far an edge lies from that of a window of the scene at most, in scene pixels."""
        return max(
            max(abs(axis.start - first), abs(axis.start + axis.size * axis.pitch - first - length))
            for axis, first, length in (
                (self.rows, window.row, window.height),
                (self.cols, window.col, window.width),
            )
        )

    def moved_within(self, scene: Shape) -> float:
        """How far an edge lies from the nearest edge between pixels of a scene at most, in scene pixels.

        A grid may end inside the scene, where only a part was wanted; where it ends outside, the scene's edges count.
        """
        ends = []
        for axis, length in ((self.rows, scene.height), (self.cols, scene.width)):
            first = min(max(round(axis.start), 0), length - 1)
            last = min(max(round(axis.start + axis.size * axis.pitch), first + 1), length)
            ends.append((first, last - first))
        (row, height), (col, width) = ends
        return self.moved(Window(row, col, height, width))

    def part_over(self, window: Window) -> Window:
        """The output pixels whose edges are nearest to those of a window of the scene."""
        spans = []
        for axis, first, length in (
            (self.rows, window.row, window.height),
            (self.cols, window.col, window.width),
        ):
            start = max(0, round((first - axis.start) / axis.pitch))
            stop = min(axis.size, round((first + length - axis.start) / axis.pitch))
            start = min(start, axis.size - 1)
            spans.append((start, max(1, stop - start)))
        (row, height), (col, width) = spans
        return Window(row, col, height, width)

    def part(self, window: Window) -> TargetGrid:
        """The grid of a window of the output pixels."""
        placed = self.placed and self.placed @ Affine.translation(window.col, window.row)
        return TargetGrid(
            self.rows.part(window.row, window.height),
            self.cols.part(window.col, window.width),
            placed,
        )
