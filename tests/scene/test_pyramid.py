from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from tests.scene.conftest import EVEN, Nearest, Noisy
from ultrares.scene.pyramid import Pyramid
from ultrares.scene.radiometry import Radiometry
from ultrares.scene.source import ArraySource
from ultrares.scene.windows import mirror
from ultrares.types import Cell, Shape, SizeRule, Upscaler, Window

SHAPES = pytest.mark.parametrize("shape", [(1, 1), (2, 9), (16, 16), (37, 50)])
WINDOWS = [
    Window(0, 0, 1, 1),
    Window(30, 60, 70, 33),
    Window(-9, -20, 60, 45),
    Window(101, 140, 60, 80),
]


def scene(shape: tuple[int, int], bands: int = 2) -> ArraySource:
    return ArraySource(np.random.default_rng(0).integers(0, 256, (bands, *shape)).astype(np.uint8))


def pyramid(source: ArraySource, *levels: Upscaler, cache_bytes: int = 1 << 26) -> Pyramid:
    return Pyramid(source, Radiometry.of(source), levels, cache_bytes=cache_bytes)


def reflected(image: Tensor, margin: int) -> Tensor:
    rows, cols = (
        torch.from_numpy(mirror(-margin, size + 2 * margin, size)) for size in image.shape[-2:]
    )
    return image.index_select(-2, rows).index_select(-1, cols)


def at_once(source: ArraySource, levels: list[Noisy]) -> Tensor:
    """All levels on the whole image, reflected at its edges: no cells."""
    image = torch.from_numpy(source.read(Window(0, 0, *source.shape))[0] / np.float32(255))[None]
    for level in levels:
        margin, edge = level.halo, level.halo * level.scale
        fine = level.enlarge(reflected(image, margin), -margin, -margin)
        image = fine[..., edge:-edge, edge:-edge]
    return image


@SHAPES
def test_nearest_levels_repeat_the_scene(shape: tuple[int, int]) -> None:
    source = scene(shape)
    stack = pyramid(source, Nearest(), Nearest(scale=3))
    assert (stack.top, stack.factor(2), stack.shape(2)) == (2, 6, Shape(6 * shape[0], 6 * shape[1]))
    fine = stack.read(2, Window(0, 0, *stack.shape(2)))[0].numpy()
    truth = source.read(Window(0, 0, *shape))[0].repeat(6, 1).repeat(6, 2) / np.float32(255)
    np.testing.assert_allclose(fine, truth, rtol=1e-6)


@SHAPES
@pytest.mark.parametrize("core", [8, 32])
def test_cells_put_together_are_the_whole_image(shape: tuple[int, int], core: int) -> None:
    """The double spoils what lies within its halo, so a halo that is too small shows as NaN."""
    source = scene(shape)
    levels = [Noisy(core=core), Noisy(core=core, halo=2, phase=1.0), Noisy(core=core, halo=5)]
    stack = pyramid(source, *levels)
    for number in range(1, 4):
        fine = stack.read(number, Window(0, 0, *stack.shape(number)))
        torch.testing.assert_close(fine, at_once(source, levels[:number]), atol=1e-5, rtol=0)


@pytest.mark.parametrize("cache_bytes", [0, 30_000, 1 << 26])
def test_a_pixel_is_the_same_in_any_window_and_with_any_cache(cache_bytes: int) -> None:
    source = scene((37, 50))
    levels = [Noisy(), Noisy(phase=1.0)]
    everything = pyramid(source, *levels).read(2, Window(0, 0, 148, 200))
    stack = pyramid(source, *levels, cache_bytes=cache_bytes)
    for window in WINDOWS[::-1]:
        rows = torch.from_numpy(mirror(window.row, window.height, 148))
        cols = torch.from_numpy(mirror(window.col, window.width, 200))
        expected = everything.index_select(-2, rows).index_select(-1, cols)
        assert torch.equal(stack.read(2, window), expected)


def test_the_cache_forgets_the_oldest_and_keeps_to_its_size() -> None:
    source = scene((64, 64), bands=1)
    stack = pyramid(source, Nearest(core=8), cache_bytes=5 * 16 * 16 * 4)
    stack.read(1, Window(0, 0, 128, 128))
    assert len(stack._cache) == 5
    assert stack._cached == sum(cell.nbytes for cell in stack._cache.values())
    assert (1, 7, 7) in stack._cache


def test_cells_are_the_same_whatever_window_is_asked_for_and_end_beyond_the_scene() -> None:
    seen: set[tuple[int, int, int, int]] = set()

    @dataclass(frozen=True)
    class Recording(Noisy):
        halo: int = 21

        def __call__(self, cell: Cell) -> Tensor:
            seen.add((*cell.origin, cell.image.shape[-2], cell.image.shape[-1]))
            return cell.image.repeat_interleave(2, -1).repeat_interleave(2, -2)

    stack = pyramid(scene((67, 5)), Recording())
    for window in (Window(0, 0, 134, 10), Window(33, 1, 3, 3), Window(70, 0, 1, 9)):
        stack.read(1, window)
        stack._cache.clear()
    # Halo 21, rounded up to even places, but only 16 pixels beyond the scene.
    rows = {(-16, 54), (-6, 60), (10, 60), (26, 58), (42, 42)}
    assert seen == {(row, -16, height, 38) for row, height in rows}


@dataclass(frozen=True)
class Looking(Nearest):
    """Nearest, if the original below its window is what it should be."""

    halo: int = 2
    core: int = 8
    original_margin: int | None = 1
    size_rule: SizeRule = EVEN

    def __call__(self, cell: Cell) -> Tensor:
        assert cell.original.shape[-2] == cell.image.shape[-2] // cell.factor + 2
        rows, cols = (torch.arange(s, dtype=torch.float32) for s in cell.original.shape[-2:])
        rows, cols = rows + cell.original_origin.row, cols + cell.original_origin.col
        inside = (rows[:, None] >= 0) & (rows[:, None] < 20) & (cols >= 0) & (cols < 20)
        truth = (20 * rows[:, None] + cols) / 10
        assert bool((torch.abs(cell.original * 25.5 - truth)[..., inside] < 1e-3).all())
        assert cell.origin.row == (cell.original_origin.row + 1) * cell.factor
        assert cell.origin.col == (cell.original_origin.col + 1) * cell.factor
        enlarged = F.interpolate(cell.original, scale_factor=cell.factor, mode="nearest")
        crop = enlarged[..., cell.factor : -cell.factor, cell.factor : -cell.factor]
        known = F.interpolate(inside[None, None].float(), scale_factor=cell.factor)
        known = known[..., cell.factor : -cell.factor, cell.factor : -cell.factor] > 0
        assert torch.equal(cell.image[known.expand_as(crop)], crop[known.expand_as(crop)])
        return super().__call__(cell)


def test_a_level_is_given_the_scene_below_its_window() -> None:
    ramp = (20 * np.arange(20)[:, None] + np.arange(20)).astype(np.float32)[None] / 10
    source = ArraySource(ramp)
    exact = Radiometry.of(source)
    exact = Radiometry(
        exact.lit, np.zeros((1, 1, 1)), np.full((1, 1, 1), 25.5), exact.fill, exact.bounds
    )
    stack = Pyramid(source, exact, [Looking(), Looking(), Looking()])
    assert stack.read(3, Window(0, 0, 160, 160)).shape == (1, 1, 160, 160)


@pytest.mark.parametrize("share", [0.02, 0.5, 0.98])
def test_gaps_are_filled_alike_in_any_window(share: float) -> None:
    rng = np.random.default_rng(0)
    array = rng.integers(0, 4000, (1, 90, 110)).astype(np.uint16)
    valid = rng.random(array.shape) > share
    valid[0, 20:61, 30:75] = False
    source = ArraySource(array, valid)
    stack = Pyramid(source, Radiometry.of(source), [])
    entire = stack.read(0, Window(-12, -12, 114, 134))
    for row, col in ((-12, -12), (0, 0), (13, 22), (37, 33), (45, 60), (60, 75), (70, 90)):
        part = entire[..., row + 12 : row + 44, col + 12 : col + 44]
        assert torch.equal(stack.read(0, Window(row, col, 32, 32)), part)


def test_gaps_do_not_reach_the_levels() -> None:
    array = np.random.default_rng(0).random((1, 20, 20)).astype(np.float32)
    array[0, 3:9, 4:15] = np.nan
    stack = pyramid(ArraySource(array), Noisy())
    assert bool(stack.read(1, Window(0, 0, 40, 40)).isfinite().all())


@dataclass(frozen=True)
class Copying(Nearest):
    """Returns the reference it is given, and -1 where it is not valid or there is none."""

    uses_reference: bool = True

    def __call__(self, cell: Cell) -> Tensor:
        fine = super().__call__(cell)
        if cell.reference is None:
            return torch.full_like(fine, -1.0)
        image, valid = cell.reference
        assert image.shape == fine.shape
        assert valid.shape == (1, 1, *fine.shape[-2:])
        return torch.where(valid > 0, image, -1.0)


@dataclass(frozen=True)
class Ramp:
    """A reference whose pixels say where they are; its first scene column is not valid."""

    factor: float

    def read(self, window: Window, factor: int) -> tuple[np.ndarray, np.ndarray]:
        rows = np.arange(window.row, window.row + window.height)[:, None] / factor
        cols = np.arange(window.col, window.col + window.width) / factor
        image = (1000 * rows + cols).astype(np.float32)
        valid = np.broadcast_to(cols >= 1, image.shape).copy()
        return np.stack([np.where(valid, image, np.nan)] * 2), valid


@pytest.mark.parametrize(("factor", "finest"), [(2.0, 1), (4.0, 2), (2.6, 2), (64.0, 3)])
def test_a_reference_reaches_the_levels_that_are_coarser_than_it(
    factor: float, finest: int
) -> None:
    source, reference = scene((37, 50)), Ramp(factor)
    stack = Pyramid(source, Radiometry.of(source), [Copying()] * 3, reference=reference)
    for level in (1, 2, 3):
        window = Window(11, 1, 20, 2**level * 50 - 1)
        pixels = stack.read(level, window)[0].numpy()
        expected, valid = reference.read(window, 2**level)
        if level > finest:
            expected, valid = np.full_like(expected, -1), np.zeros_like(valid)
        np.testing.assert_array_equal(pixels, np.where(valid, expected, -1))


def test_levels_that_use_no_reference_are_given_none() -> None:
    source = scene((8, 8))
    levels = [Copying(uses_reference=False)]
    stack = Pyramid(source, Radiometry.of(source), levels, reference=Ramp(8.0))
    assert bool((stack.read(1, Window(0, 0, 16, 16)) == -1).all())
