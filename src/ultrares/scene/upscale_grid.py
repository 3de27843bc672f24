"""Tiles on a grid of any scale: resample, keep the area-weighted means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ultrares.scene.draws import mean_of, spread_of_draws
from ultrares.scene.grid_stage import GridStage
from ultrares.scene.radiometry import Radiometry
from ultrares.scene.target_grid import TargetGrid
from ultrares.scene.tile import Tile
from ultrares.scene.windows import clipped, tiles
from ultrares.sensor.areas import AreaMeans, Plan, plan, project_areas, shares
from ultrares.types import Shape, Source, Window

SIDE = 512
"""Output pixels that are finished at once, on the absolute output grid: sums of products may differ in the
last bit with the number of rows, so what is summed together must not depend on what was asked for."""


@dataclass(frozen=True)
class Part:
    """A square of the output and the scene pixels around it.

    Attributes:
        out: Output pixels that are computed, more than those wanted.
        near: Scene pixels that they are held to.
        rows: Shares of the output rows in the scene's, (h, H).
        cols: Shares of the output columns, (w, W).
    """

    out: Window
    near: Window
    rows: NDArray[np.float64]
    cols: NDArray[np.float64]


class AreaTiler:
    """Makes tiles of a product on a grid of any scale.

    An output pixel is valid where the scene pixel at its centre is. The mean of the valid ones over each
    scene pixel, weighted by the areas that they share, is the scene pixel.

    Args:
        source: The scene.
        stage: Makes the output pixels; draws, which it makes side by side, are averaged.
        grid: Where they lie on the scene.
        radiometry: The scene's range.
        nodata: A value that no valid pixel may get.
        part: Output pixels of the product; None for all. They equal the same pixels of the whole.
        exact: Whether means shall equal the scene (the box sensor).
        with_spread: Whether tiles have the standard deviation of the draws.
        widening: See :class:`ultrares.scene.upscale.BlockTiler`.
    """

    def __init__(  # noqa: PLR0913 - each is a decision that belongs to the caller
        self,
        source: Source,
        stage: GridStage,
        grid: TargetGrid,
        *,
        radiometry: Radiometry,
        nodata: float | None = None,
        part: Window | None = None,
        exact: bool = True,
        with_spread: bool = False,
        widening: float | None = None,
    ) -> None:
        self._source = source
        self._stage = stage
        self._grid = grid
        self._radiometry = radiometry
        self._nodata = nodata
        self._exact = exact
        self._with_spread = with_spread
        self._widening = widening
        self._how = plan(grid.rows.pitch, grid.cols.pitch)
        self._wanted = part or Window(0, 0, *stage.shape)
        self._places = [
            tile._replace(row=tile.row - self._wanted.row, col=tile.col - self._wanted.col)
            for tile in tiles(self._wanted, SIDE)
        ]

    def forget(self) -> None:
        """Drop what is kept of computed cells, and keep half as much from now on."""
        self._stage.forget()

    @property
    def places(self) -> Sequence[Window]:
        """The windows of the product."""
        return self._places

    def make(self, place: Window) -> Tile:
        """Resample the square that a tile lies in, hold it to the scene, and cut the tile out."""
        radiometry, grid = self._radiometry, self._grid
        tile = place._replace(row=place.row + self._wanted.row, col=place.col + self._wanted.col)
        square = clipped(
            Window(tile.row // SIDE * SIDE, tile.col // SIDE * SIDE, SIDE, SIDE), self._stage.shape
        )
        around = _around(square, grid, self._source.shape, self._how.reach if self._exact else 0)
        coarse, valid = self._source.read(around.near)
        draws = self._stage.read(around.out)
        mean = mean_of(draws)
        lasting = _at_centres(valid, around, grid)
        pixels = _finish(
            mean, coarse, lasting, around, radiometry, self._how, self._nodata, exact=self._exact
        )
        inner = _inner(tile, around.out)
        if not self._with_spread:
            return Tile(place, pixels[inner], lasting[inner])
        lit = lasting[radiometry.lit]
        unit = spread_of_draws(draws, mean, self._widening)
        digital = (unit * (radiometry.high - radiometry.low)).clip(max=np.finfo(np.float32).max)
        deviation = np.where(lit, digital, np.nan).astype(np.float32)
        return Tile(place, pixels[inner], lasting[inner], deviation[inner], lit[inner])


def _around(square: Window, grid: TargetGrid, scene: Shape, reach: int) -> Part:
    """All that a square of the output depends on."""
    spans = []
    for axis, first, count, length in (
        (grid.rows, square.row, square.height, scene.height),
        (grid.cols, square.col, square.width, scene.width),
    ):
        edges = axis.edges(first, count)
        start = max(0, int(np.floor(edges[0])) - reach)
        stop = min(length, int(np.ceil(edges[-1])) + reach)
        # What touches those scene pixels, and a pixel more for pooling.
        low, high = axis.touching(start, stop)
        low, high = min(low, max(0, first - 1)), max(high, min(axis.size, first + count + 1))
        spans.append(
            (start, stop, low, high, shares(axis.edges(low, high - low), start, stop - start))
        )
    (top, bottom, row, last_row, rows), (left, right, col, last_col, cols) = spans
    return Part(
        Window(row, col, last_row - row, last_col - col),
        Window(top, left, bottom - top, right - left),
        rows,
        cols,
    )


def _at_centres(array: np.ndarray, part: Part, grid: TargetGrid) -> np.ndarray:
    """For each output pixel, what the scene pixel (C, h, w) at its centre holds."""
    places = []
    for axis, first, count, start, length in (
        (grid.rows, part.out.row, part.out.height, part.near.row, part.near.height),
        (grid.cols, part.out.col, part.out.width, part.near.col, part.near.width),
    ):
        edges = axis.edges(first, count)
        centres = np.floor((edges[:-1] + edges[1:]) / 2).astype(int) - start
        places.append(centres.clip(0, length - 1))
    return array[:, places[0]][:, :, places[1]]


def _finish(
    mean: NDArray[np.float64],
    coarse: np.ndarray,
    lasting: np.ndarray,
    part: Part,
    radiometry: Radiometry,
    how: Plan,
    nodata: float | None,
    *,
    exact: bool,
) -> np.ndarray:
    """Digital numbers of the output: held and rounded where valid, the scene's own elsewhere."""
    fine = radiometry.denormalise(mean)
    lit = np.flatnonzero(radiometry.lit)
    if exact:
        low, high = radiometry.bounds
        for index, band in enumerate(lit):
            means = AreaMeans(part.rows, part.cols, lasting[band])
            truth = coarse[band].astype(np.float64)
            fine[index] = project_areas(fine[index], truth, means, how, low, high)
    pixels = _nearest(coarse, part)
    restored = radiometry.to_type(fine, coarse.dtype, nodata)
    pixels[lit] = np.where(lasting[lit], restored, pixels[lit])
    return pixels


def _nearest(coarse: np.ndarray, part: Part) -> np.ndarray:
    """Each output pixel's own scene pixel, of which it has the largest share."""
    return coarse[:, part.rows.argmax(axis=0)][:, :, part.cols.argmax(axis=0)]


def _inner(tile: Window, out: Window) -> tuple[slice, slice, slice]:
    top, left = tile.row - out.row, tile.col - out.col
    return slice(None), slice(top, top + tile.height), slice(left, left + tile.width)
