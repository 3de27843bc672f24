"""How far a reference lies beside its scene, place by place, in parts of its own pixels.

Orthophotos of two years are a pixel apart here and half a pixel there. Nodes of an absolute grid are estimated from the cells
around them, each shrunk towards what the whole scene says, and interpolated between.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ultrares.scene.least_squares_matching import Evidence, evidence_of, shift_from
from ultrares.types import Shape, Window

Floats = NDArray[np.float64]

CELL, CELL_OF_REFERENCE = 16, 256
"""Least side of a cell, in pixels of the scene and of the reference: fewer of the one tell nothing, and fewer of the other
show single roofs, which lean."""

USUAL, LEAST_USUAL, LOCAL = 0.75, 0.05, 0.5
"""Standard deviations of a shift before anything is known of it: of the whole scene's, in pixels of the reference, and in
pixels of the scene at least; and of a place's against it, in pixels of the reference."""

SAMPLED = 8
"""Cells along each axis that tell the whole scene's shift, at most."""

LARGEST = 0.5
"""Pixels of the scene that a node is moved by at most: what is further was to be found by correlation."""

STEPS = 64
"""Nodes are rounded to this fraction of a pixel of the reference, far above what processors differ by."""

ENOUGH = 32
"""Pixels of the scene along a cell's side that are looked at, evenly spread: where a scene is half as fine as its reference, few
tell as much as is needed."""

KEPT, KEPT_NODES = 256, 4096
"""Cells whose pixels are kept for the nodes around them, and nodes."""


class Look(NamedTuple):
    """What a cell shows where scene and reference both do.

    Attributes:
        scene: Values, (C, n), in [0, 1].
        reference: The reference's area means, (C, n), matched to it.
        slopes: Gradients of the reference per pixel of the scene, downwards and to the right, (2, C, n).
    """

    scene: Floats
    reference: Floats
    slopes: Floats


class LocalShifts:
    """A displacement for every pixel of any grid of a scene.

    Args:
        look: What every so many-th pixel of a window of the scene shows, along both axes, the reference being read so many scene
            pixels further down and to the right.
        shape: Of the scene.
        factor: Reference pixels per scene pixel, along one side.

    Attributes:
        usual: How far the content of the reference lies below and to the right of the scene's on the whole, in scene pixels.
    """

    def __init__(
        self, look: Callable[[Window, tuple[float, float], int], Look], shape: Shape, factor: float
    ) -> None:
        self._look, self._shape, self._factor = look, shape, factor
        self._side = max(CELL, round(CELL_OF_REFERENCE / factor))
        self._cells: OrderedDict[tuple[int, int], Look] = OrderedDict()
        self._nodes: OrderedDict[tuple[tuple[int, int], ...], tuple[float, float]] = OrderedDict()
        self.usual = (0.0, 0.0)
        rows, cols = (
            np.unique(np.linspace(0, -(-side // self._side) - 1, SAMPLED).round().astype(int))
            for side in shape
        )
        said = [self._evidence([cell]) for cell in product(rows.tolist(), cols.tolist())]
        spread = max(USUAL / factor, LEAST_USUAL)
        self.usual = self._rounded(shift_from(said, np.zeros(2), spread))
        self._cells.clear()

    def at(self, window: Window, factor: int) -> Floats:
        """Where to read the reference for a window of the grid ``factor`` times finer than the scene's.

        Returns:
            Pixels of that grid further down and to the right, (2, h, w).
        """
        pitch = factor * self._side
        first = window.row // pitch, window.col // pitch
        last = (
            (window.row + window.height - 1) // pitch + 1,
            (window.col + window.width - 1) // pitch + 1,
        )
        nodes = np.array(
            [
                [self._node(row, col) for col in range(first[1], last[1] + 1)]
                for row in range(first[0], last[0] + 1)
            ]
        )
        down, right = (
            (np.arange(start, start + length) + 0.5) / pitch
            for start, length in ((window.row, window.height), (window.col, window.width))
        )
        along = _between(nodes, down, first[0])
        across = _between(np.swapaxes(along, 0, 1), right, first[1])
        return factor * np.ascontiguousarray(across.transpose(2, 1, 0))

    def _node(self, row: int, col: int) -> tuple[float, float]:
        """The shift at a corner of cells, in scene pixels."""
        # Nodes at the scene's edge have cells in common.
        around = tuple(
            (r, c)
            for r, c in product((row - 1, row), (col - 1, col))
            if 0 <= r * self._side < self._shape.height and 0 <= c * self._side < self._shape.width
        )
        if around not in self._nodes:
            beside = shift_from([self._evidence(around)], np.zeros(2), LOCAL / self._factor)
            self._nodes[around] = self._rounded(np.add(self.usual, beside))
            if len(self._nodes) > KEPT_NODES:
                self._nodes.popitem(last=False)
        return self._nodes[around]

    def _rounded(self, shift: Floats) -> tuple[float, float]:
        unit = self._factor * STEPS
        rows, cols = np.rint(np.clip(shift, -LARGEST, LARGEST) * unit) / unit
        return float(rows), float(cols)

    def _evidence(self, cells: Sequence[tuple[int, int]]) -> Evidence:
        looks = [self._cell(*cell) for cell in cells]
        return evidence_of(*(np.concatenate(each, axis=-1) for each in zip(*looks, strict=True)))

    def _cell(self, row: int, col: int) -> Look:
        key = (row, col)
        if key not in self._cells:
            side = self._side
            window = Window(row * side, col * side, side, side).clipped(self._shape)
            self._cells[key] = self._look(window, self.usual, max(1, side // ENOUGH))
            if len(self._cells) > KEPT:
                self._cells.popitem(last=False)
        self._cells.move_to_end(key)
        return self._cells[key]


def _between(nodes: Floats, places: Floats, first: int) -> Floats:
    """Nodes (n, ...) interpolated linearly along their first axis, at places counted in nodes."""
    before = np.floor(places).astype(int)
    share = (places - before)[:, None, None]
    start = nodes[before - first]
    return start + share * (nodes[before + 1 - first] - start)
