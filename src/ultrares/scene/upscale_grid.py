"""From a source to a sink on a grid of any scale: resample, keep the area-weighted means, write."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ultrares.scene.draws import mean_of, spread_of_draws
from ultrares.scene.grid_stage import GridStage
from ultrares.scene.radiometry import Radiometry
from ultrares.scene.target_grid import TargetGrid
from ultrares.scene.windows import clipped, tiles
from ultrares.sensor.areas import AreaMeans, Plan, plan, project_areas, shares
from ultrares.types import Shape, Sink, Source, Window

Progress = Callable[[int, int], None]

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


def upscale_to_grid(  # noqa: PLR0913 - each is a decision that belongs to the caller
    source: Source,
    sink: Sink,
    stage: GridStage,
    grid: TargetGrid,
    *,
    radiometry: Radiometry,
    nodata: float | None = None,
    part: Window | None = None,
    exact: bool = True,
    on_progress: Progress | None = None,
    spread: Sink | None = None,
    widening: float | None = None,
) -> None:
    """Upscale a scene onto a grid; the caller commits.

    An output pixel is valid where the scene pixel at its centre is. The mean of the valid ones over each
    scene pixel, weighted by the areas that they share, is the scene pixel.

    Args:
        source: The scene.
        sink: Receives windows of the result, whose origin is that of ``part``.
        stage: Makes the output pixels; draws, which it makes side by side, are averaged.
        grid: Where they lie on the scene.
        radiometry: The scene's range.
        nodata: A value that no valid pixel may get.
        part: Output pixels to write; None for all. They equal the same pixels of the whole.
        exact: Whether means shall equal the scene (the box sensor).
        on_progress: Called with output pixels done and their total.
        spread: Where the standard deviation of the draws goes; needs two draws or more.
        widening: See :func:`ultrares.scene.upscale.upscale`.
    """
    wanted = part or Window(0, 0, *stage.shape)
    how = plan(grid.rows.pitch, grid.cols.pitch)
    total, done = wanted.height * wanted.width, 0
    for tile in tiles(wanted, SIDE):
        square = clipped(
            Window(tile.row // SIDE * SIDE, tile.col // SIDE * SIDE, SIDE, SIDE), stage.shape
        )
        around = _around(square, grid, source.shape, how.reach if exact else 0)
        coarse, valid = source.read(around.near)
        draws = stage.read(around.out)
        mean = mean_of(draws)
        lasting = _at_centres(valid, around, grid)
        pixels = _finish(mean, coarse, lasting, around, radiometry, how, nodata, exact=exact)
        place = Window(tile.row - wanted.row, tile.col - wanted.col, tile.height, tile.width)
        inner = _inner(tile, around.out)
        sink.write(place, pixels[inner], lasting[inner])
        if spread is not None:
            lit = lasting[radiometry.lit]
            unit = spread_of_draws(draws, mean, widening)
            digital = (unit * (radiometry.high - radiometry.low)).clip(max=np.finfo(np.float32).max)
            deviation = np.where(lit, digital, np.nan).astype(np.float32)
            spread.write(place, deviation[inner], lit[inner])
        done += tile.height * tile.width
        if on_progress is not None:
            on_progress(done, total)


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
