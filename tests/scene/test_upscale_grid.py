from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from ultrares.methods.area_average import AreaAverage
from ultrares.scene.array_sink import ArraySink
from ultrares.scene.grid_choice import grid_of_scale
from ultrares.scene.grid_stage import GridStage
from ultrares.scene.pyramid import Pyramid
from ultrares.scene.radiometry import Radiometry
from ultrares.scene.source import ArraySource
from ultrares.scene.target_grid import Axis, TargetGrid
from ultrares.scene.tile import write_tiles
from ultrares.scene.upscale_grid import AreaTiler
from ultrares.sensor.areas import AreaMeans, shares
from ultrares.types import GridCell, Shape, Window


class Wavy:
    """A double: the nearest input pixel plus a wave of the absolute output place, and one integral."""

    halo, margin, multiple_of, core, passes = 2, 3, 4, 40, 1

    def products(self, cell: GridCell, integrals: Sequence[Tensor]) -> Tensor:
        del integrals
        fine = self._nearest(cell)
        return fine.sum(dim=(-2, -1))

    def __call__(self, cell: GridCell, integrals: Sequence[Tensor]) -> Tensor:
        (mean,) = integrals
        rows, cols = len(cell.rows) - 1, len(cell.cols) - 1
        wave = torch.sin(torch.arange(rows) + cell.place.row)[:, None] + torch.cos(
            torch.arange(cols) + cell.place.col
        )
        return self._nearest(cell) + 0.05 * wave + 0.01 * mean[..., None, None]

    @staticmethod
    def _nearest(cell: GridCell) -> Tensor:
        rows, cols = (
            torch.from_numpy(np.floor((edges[:-1] + edges[1:]) / 2)).long().clamp(0, size - 1)
            for edges, size in zip((cell.rows, cell.cols), cell.image.shape[-2:], strict=True)
        )
        return cell.image[:, :, rows][..., cols]


def scene(dtype: str = "uint8", shape: tuple[int, int, int] = (2, 37, 45)) -> np.ndarray:
    rng = np.random.default_rng(0)
    values = 128 + 60 * np.sin(np.arange(shape[1])[:, None] / 5) * np.cos(np.arange(shape[2]) / 7)
    return (values + rng.normal(0, 8, shape)).astype(dtype)


def run(
    image: np.ndarray, grid: TargetGrid, part: Window | None = None, upscaler: object = None
) -> np.ndarray:
    source = ArraySource(image)
    radiometry = Radiometry.of(source)
    stage = GridStage(Pyramid(source, radiometry, []), upscaler or Wavy(), grid)  # type: ignore[arg-type]
    shape = stage.shape if part is None else Shape(part.height, part.width)
    sink = ArraySink(source.bands, shape, source.dtype)
    tiler = AreaTiler(source, stage, grid, radiometry=radiometry, part=part)
    write_tiles(tiler, sink)
    return sink.array


def worst_mean(fine: np.ndarray, image: np.ndarray, grid: TargetGrid) -> float:
    rows = shares(grid.rows.edges(0, grid.rows.size), 0, image.shape[1])
    cols = shares(grid.cols.edges(0, grid.cols.size), 0, image.shape[2])
    means = AreaMeans(rows, cols, np.ones(fine.shape[1:], bool))
    return max(
        float(np.nanmax(np.abs(means.of(ours.astype(np.float64)) - theirs)))
        for ours, theirs in zip(fine, image.astype(np.float64), strict=True)
    )


@pytest.mark.parametrize("scale", [1.3, 1.5, 2.7, 3.3, 5.8, 10.1])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
def test_area_means_are_kept(scale: float, dtype: str) -> None:
    image = scene(dtype)
    grid = grid_of_scale(Shape(37, 45), scale)
    worst = worst_mean(run(image, grid), image, grid)
    assert worst <= (0.5 if dtype != "float32" else 1e-2)


def test_any_part_is_cut_from_the_whole() -> None:
    image, grid = scene(), grid_of_scale(Shape(37, 45), 3.3)
    whole = run(image, grid)
    for part in (Window(0, 0, 10, 10), Window(33, 41, 60, 77), Window(100, 120, 22, 28)):
        rows, cols = slice(part.row, part.row + part.height), slice(part.col, part.col + part.width)
        assert np.array_equal(run(image, grid, part), whole[:, rows, cols])


def test_a_grid_that_begins_between_pixels() -> None:
    image = scene()
    grid = TargetGrid(Axis(-0.15, 0.3, 124), Axis(0.1, 0.29, 155))
    fine = run(image, grid)
    assert fine.shape == (2, 124, 155)
    assert worst_mean(fine, image, grid) <= 0.5


def test_pixels_without_data_stay_and_do_not_bleed() -> None:
    image = scene("float32")
    image[:, 10:20, 5:15] = np.nan
    grid = grid_of_scale(Shape(37, 45), 2.6)
    fine = run(image, grid)
    centres = [
        np.floor((axis.edges(0, axis.size)[:-1] + axis.edges(0, axis.size)[1:]) / 2).astype(int)
        for axis in (grid.rows, grid.cols)
    ]
    expected = np.isnan(image)[:, centres[0]][:, :, centres[1]]
    assert np.array_equal(np.isnan(fine), expected)
    assert np.nanmax(np.abs(fine)) < 400


def test_area_averages_of_a_finer_image_are_its_area_means() -> None:
    image = scene("float32")
    grid = TargetGrid(Axis(0, 37 / 50, 50), Axis(0, 45 / 61, 61))
    cell_image = torch.from_numpy(image)[None]
    averaged = AreaAverage()(
        GridCell(cell_image, grid.rows.edges(0, 50), grid.cols.edges(0, 61), (0, 0)),  # type: ignore[arg-type]
        [],
    )
    rows = shares(grid.rows.edges(0, 50), 0, 37)
    cols = shares(grid.cols.edges(0, 61), 0, 45)
    expected = (rows.T @ image[0].astype(np.float64) @ cols) / (37 / 50 * 45 / 61)
    np.testing.assert_allclose(averaged[0, 0].numpy(), expected, rtol=1e-5)
