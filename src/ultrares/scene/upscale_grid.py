"""Tiles on a grid of any scale: resample, keep the area-weighted means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ultrares.scene.draws import mean_of, spread_of_draws
from ultrares.scene.evidence import (
    EVIDENCE,
    REACH,
    Seen,
    area_residual,
    invented_share,
    lack_of,
    layer_of,
    radius_of,
    smooth_along,
)
from ultrares.scene.grid_stage import GridStage
from ultrares.scene.radiometry import Radiometry
from ultrares.scene.square_cache import SIDE, SquareCache, square_at
from ultrares.scene.target_grid import TargetGrid
from ultrares.scene.tile import Layer, Tile
from ultrares.scene.windows import tiles, union
from ultrares.sensor.areas import AreaMeans, Plan, plan, project_areas, shares
from ultrares.types import Shape, Source, Window


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
        with_evidence: Whether tiles have the layer of :mod:`ultrares.scene.evidence`; the squares around each
            tile are finished for it, which pays where a row of them fits the cache.
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
        with_evidence: bool = False,
        widening: float | None = None,
    ) -> None:
        self._source = source
        self._stage = stage
        self._grid = grid
        self._radiometry = radiometry
        self._nodata = nodata
        self._exact = exact
        self._with_spread = with_spread
        self._squares = SquareCache(self._finished, stage.shape) if with_evidence else None
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
        if self._squares is not None:
            self._squares.forget()

    @property
    def places(self) -> Sequence[Window]:
        """The windows of the product."""
        return self._places

    @property
    def stage(self) -> GridStage:
        """What makes the output pixels."""
        return self._stage

    def needs(self, place: Window) -> Window:
        """The scene pixels that the pixels of any place of the product depend on, integrals apart."""
        top, left = place.row + self._wanted.row, place.col + self._wanted.col
        ends = (top, left), (top + place.height - 1, left + place.width - 1)
        first, last = (self._needed(self._square(row, col)) for row, col in ends)
        return union(first, last)

    def _square(self, row: int, col: int) -> Window:
        """The square of the absolute grid that a pixel lies in."""
        square = Window(row // SIDE * SIDE, col // SIDE * SIDE, SIDE, SIDE)
        return square.clipped(self._stage.shape)

    def _part(self, square: Window) -> Part:
        reach = self._how.reach if self._exact else 0
        return _around(square, self._grid, self._source.shape, reach)

    def _needed(self, square: Window) -> Window:
        part = self._part(square)
        return union(part.near, self._stage.needs(part.out))

    def make(self, place: Window) -> Tile:
        """Resample the square that a tile lies in, hold it to the scene, and cut the tile out."""
        radiometry = self._radiometry
        tile = place._replace(row=place.row + self._wanted.row, col=place.col + self._wanted.col)
        square = square_at(tile.row, tile.col, self._stage.shape)
        finished = self._finished(square) if self._squares is None else self._squares.at(square)
        inner = _inner(tile, square)
        made = Tile(place, finished.pixels[inner], finished.valid[inner])
        if self._with_spread:
            lit = finished.valid[radiometry.lit]
            spread = self._spread(square, lit)
            made = replace(made, spread=spread[inner], lit=lit[inner])
        if self._squares is not None:
            layer = self._evidence(square, self._squares)
            made = replace(made, layers={EVIDENCE: Layer(layer.pixels[inner], layer.valid[inner])})
        return made

    def _finished(self, square: Window) -> Layer:
        """The pixels of a square and their validity."""
        around = self._part(square)
        coarse, valid = self._source.read(around.near)
        lit = self._radiometry.lit
        if valid[lit].any():
            mean = mean_of(self._stage.read(around.out))
        else:
            # No network has to look at what will not be used.
            mean = np.zeros((int(np.sum(lit)), around.out.height, around.out.width))
        lasting = _at_centres(valid, around, self._grid)
        pixels = _finish(
            mean,
            coarse,
            valid,
            lasting,
            _at_centres(coarse, around, self._grid),
            around,
            self._radiometry,
            self._how,
            self._nodata,
            exact=self._exact,
        )
        inner = _inner(square, around.out)
        return Layer(pixels[inner], lasting[inner])

    def _spread(self, square: Window, lit: NDArray[np.bool_]) -> NDArray[np.float32]:
        """The standard deviation of a square's draws, in digital numbers."""
        radiometry = self._radiometry
        wide = square.padded(1).clipped(self._stage.shape)
        draws = self._stage.read(wide)
        unit = spread_of_draws(draws, mean_of(draws), self._widening)[_inner(square, wide)]
        digital = (unit * (radiometry.high - radiometry.low)).clip(max=np.finfo(np.float32).max)
        return np.where(lit, digital, np.nan).astype(np.float32)

    def _evidence(self, square: Window, squares: SquareCache) -> Layer:
        """What a square adds to its scene; whole squares, because sums of products depend on their number."""
        lit, grid, scene = self._radiometry.lit, self._grid, self._source.shape
        radius = radius_of(max(grid.rows.pitch, grid.cols.pitch))
        grown = square.padded(radius)
        seen = grown.clipped(self._stage.shape)
        held = _around(square, grid, scene, 0)
        finished = squares.read(_union(seen, held.out))
        outer = _union(seen, held.out)
        pixels, valid = finished.pixels[lit], finished.valid[lit]
        inner = _inner(seen, outer)
        around = Seen(pixels[inner], self._smooth(seen), valid[inner], lack_of(grown, seen), radius)
        own = _inner(held.out, outer)
        truth, usable = self._source.read(held.near)
        residual = area_residual(
            pixels[own], valid[own], np.where(usable, truth, 0)[lit], held.rows, held.cols
        )
        centred = _at_centres(residual, held, grid)[_inner(square, held.out)]
        lasting = valid[_inner(square, outer)]
        return layer_of(invented_share(around, self._radiometry), centred, lasting)

    def _smooth(self, seen: Window) -> NDArray[np.float64]:
        """The smooth image with the scene's pixels as means, in [0, 1]."""
        rows = self._grid.rows.edges(seen.row, seen.height)
        cols = self._grid.cols.edges(seen.col, seen.width)
        top, left = (int(np.floor(edges[0])) - REACH for edges in (rows, cols))
        bottom, right = (int(np.ceil(edges[-1])) + REACH for edges in (rows, cols))
        unit = self._stage.scene(Window(top, left, bottom - top, right - left))
        return smooth_along(smooth_along(unit, top, rows, 1), left, cols, 2)


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
        places.append((axis.owners(first, count) - start).clip(0, length - 1))
    return array[:, places[0]][:, :, places[1]]


def _finish(  # noqa: PLR0913 - what was computed, what it is held to, and how
    mean: NDArray[np.float64],
    coarse: np.ndarray,
    valid: np.ndarray,
    lasting: np.ndarray,
    own: np.ndarray,
    part: Part,
    radiometry: Radiometry,
    how: Plan,
    nodata: float | None,
    *,
    exact: bool,
) -> np.ndarray:
    """Digital numbers of the output: held and rounded where valid, ``own`` elsewhere, the scene's at its centre."""
    fine = radiometry.denormalise(mean)
    lit = np.flatnonzero(radiometry.lit)
    if exact:
        low, high = radiometry.bounds
        for index, band in enumerate(lit):
            means = AreaMeans(part.rows, part.cols, lasting[band])
            # What is not valid holds anything, and nothing has to be kept of it.
            truth = np.where(valid[band], coarse[band], np.nan)
            fine[index] = project_areas(fine[index], truth, means, how, low, high)
    restored = radiometry.to_type(fine, coarse.dtype, nodata)
    own[lit] = np.where(lasting[lit], restored, own[lit])
    return own


def _union(one: Window, other: Window) -> Window:
    """The least window around two."""
    row, col = min(one.row, other.row), min(one.col, other.col)
    bottom = max(one.row + one.height, other.row + other.height)
    right = max(one.col + one.width, other.col + other.width)
    return Window(row, col, bottom - row, right - col)


def _inner(tile: Window, out: Window) -> tuple[slice, slice, slice]:
    top, left = tile.row - out.row, tile.col - out.col
    return slice(None), slice(top, top + tile.height), slice(left, left + tile.width)
