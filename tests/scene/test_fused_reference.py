"""A fused reference is the same whatever window it is asked for with."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from tests.scene.test_pyramid import Copying, Ramp
from ultrares.scene.fused_reference import FusedReference
from ultrares.scene.pyramid import Pyramid
from ultrares.scene.radiometry import Radiometry
from ultrares.scene.source import ArraySource
from ultrares.types import AlignedReference, Shape, Window

SHAPE = Shape(23, 37)
RNG = np.random.default_rng(0)
SCENE = ArraySource(RNG.uniform(0, 1, (2, *SHAPE)).astype(np.float32))


@dataclass(frozen=True)
class Blurring:
    """Sums reference and enlarged scene, and blurs them as far as its halo reaches."""

    ratios: tuple[int, ...] = (4, 8)
    seen: list[tuple[int, ...]] = field(default_factory=list)

    def core(self, factor: int) -> int:
        return 4 * factor

    def halo(self, factor: int) -> int:
        return factor

    def __call__(
        self, scene: Tensor, reference: AlignedReference, factor: int, core: Window | None = None
    ) -> Tensor:
        self.seen.append(tuple(reference.image.shape))
        enlarged = scene.repeat_interleave(factor, -1).repeat_interleave(factor, -2)
        both = reference.image + enlarged
        assert both.shape == reference.image.shape
        blurred = F.avg_pool2d(both, 2 * factor - 1, 1, factor - 1, count_include_pad=False)
        assert core is not None
        row, col, height, width = core
        return blurred[..., row : row + height, col : col + width]


@dataclass(frozen=True)
class Waves:
    """A reference of whose pixels each says where it is, apart from a hole."""

    factor: float = 8.0

    def read(self, window: Window, factor: int) -> tuple[np.ndarray, np.ndarray]:
        rows = (np.arange(window.row, window.row + window.height)[:, None] + 0.5) / factor
        cols = (np.arange(window.col, window.col + window.width) + 0.5) / factor
        image = np.sin(3 * rows + 5 * cols + rows * cols).astype(np.float32)
        valid = (rows - 12) ** 2 + (cols - 20) ** 2 > 9
        return np.stack([np.where(valid, image, np.nan), image]), valid


def fused(
    ratio: int = 8, cache_bytes: int = 1 << 20, fusion: Blurring | None = None
) -> FusedReference:
    radiometry = Radiometry.of(SCENE)

    def scene(window: Window) -> Tensor:
        return radiometry.normalise(*SCENE.read(window))

    return FusedReference(
        Waves(), scene, SHAPE, fusion or Blurring(), ratio, cache_bytes=cache_bytes
    )


@pytest.mark.parametrize("factor", [1, 2, 4, 8])
@pytest.mark.parametrize("cache_bytes", [0, 60_000, 1 << 30])
def test_a_window_is_a_part_of_the_whole(factor: int, cache_bytes: int) -> None:
    height, width = (factor * side for side in SHAPE)
    image, valid = fused().read(Window(0, 0, height, width), factor)
    assert image.shape == (2, height, width)
    again = fused(cache_bytes=cache_bytes)
    for _ in range(20):
        row, col = int(RNG.integers(height)), int(RNG.integers(width))
        window = Window(
            row, col, int(RNG.integers(1, height - row + 1)), int(RNG.integers(1, width - col + 1))
        )
        part, there = again.read(window, factor)
        here = slice(row, row + window.height), slice(col, col + window.width)
        np.testing.assert_array_equal(part, image[(slice(None), *here)])
        np.testing.assert_array_equal(there, valid[here])


def test_coarser_grids_are_means_of_the_one_that_is_fused() -> None:
    reference = fused()
    fine, there = reference.read(Window(0, 0, *(8 * side for side in SHAPE)), 8)
    for factor in (4, 2, 1):
        by = 8 // factor
        image, valid = reference.read(Window(0, 0, *(factor * side for side in SHAPE)), factor)
        blocks = there.reshape(SHAPE.height * factor, by, -1, by)
        np.testing.assert_array_equal(valid, blocks.all(axis=(1, 3)))
        means = fine.reshape(2, SHAPE.height * factor, by, -1, by).mean(axis=(2, 4))
        np.testing.assert_allclose(image[:, valid], means[:, valid], atol=1e-6)


def test_finer_grids_are_of_the_reference_as_it_was_taken() -> None:
    window = Window(3, 5, 20, 30)
    for one, other in zip(fused(ratio=4).read(window, 8), Waves().read(window, 8), strict=True):
        np.testing.assert_array_equal(one, other)


def test_context_reaches_its_halo_and_ends_with_the_scene() -> None:
    fusion = Blurring()
    fused(fusion=fusion).read(Window(0, 0, 8, 8), 8)
    fused(fusion=fusion).read(Window(8 * 8, 8 * 8, 8, 8), 8)
    assert fusion.seen == [(1, 2, 40, 40), (1, 2, 48, 48)]


def test_where_there_is_no_reference_nothing_is_fused() -> None:
    @dataclass(frozen=True)
    class Nowhere(Waves):
        def read(self, window: Window, factor: int) -> tuple[np.ndarray, np.ndarray]:
            image, valid = super().read(window, factor)
            return image, np.zeros_like(valid)

    fusion = Blurring()
    reference = FusedReference(
        Nowhere(), lambda _: torch.zeros(1), SHAPE, fusion, 8, cache_bytes=1 << 20
    )
    assert not reference.read(Window(0, 0, 50, 50), 8)[1].any()
    assert not fusion.seen


@pytest.mark.parametrize(
    ("factor", "levels", "ratio"),
    [
        (3.5, 3, None),
        (3.7, 3, 4),
        (7.1, 3, 4),
        (7.3, 3, 8),
        (100.0, 3, 8),
        (8.0, 2, 4),
        (8.0, 1, None),
    ],
)
def test_the_finest_ratio_that_reference_and_product_reach_is_taken(
    factor: float, levels: int, ratio: int | None
) -> None:
    fusion = Blurring()
    stack = Pyramid(
        SCENE, Radiometry.of(SCENE), [Copying(fusion=fusion)] * levels, reference=Ramp(factor)
    )
    stack.read(1, Window(0, 0, 16, 16))
    # Cores of four pixels of the scene and one around them, but not beyond its edge.
    assert {shape[-1] for shape in fusion.seen} <= ({5 * ratio, 6 * ratio} if ratio else set())
    assert bool(fusion.seen) == (ratio is not None)


def test_what_is_kept_is_what_is_counted() -> None:
    reference = fused(cache_bytes=60_000)
    for _ in range(60):
        factor = int(RNG.choice([2, 4, 8]))
        height, width = (factor * side for side in SHAPE)
        row, col = int(RNG.integers(height - 8)), int(RNG.integers(width - 8))
        reference.read(Window(row, col, 8, 8), factor)
        kept = sum(array.nbytes for cell in reference._cache.values() for array in cell)
        assert reference._cached == kept
        assert kept <= 60_000
