"""A tile made from nothing but the pixels that it is said to need is the tile of the whole scene."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from tests.scene.conftest import Cubic, Noisy
from ultrares.methods.area_average import AreaAverage
from ultrares.scene.grid_choice import grid_of_scale
from ultrares.scene.grid_stage import GridStage
from ultrares.scene.patches import Patch, PatchSource
from ultrares.scene.pyramid import Pyramid
from ultrares.scene.radiometry import Radiometry
from ultrares.scene.source import ArraySource
from ultrares.scene.upscale import BlockTiler
from ultrares.scene.upscale_grid import AreaTiler
from ultrares.types import Shape, Source, Upscaler, Window

LEVELS: list[Sequence[Upscaler]] = [
    [Noisy()],
    [Noisy(), Noisy(core=8)],
    [Cubic(), Noisy(edge=0), Cubic(core=32)],
    # The interpolation of a condition that is reused looks at the scene, too.
    [Noisy(), Noisy(original_margin=9)],
]


@pytest.fixture(scope="module")
def scene() -> ArraySource:
    array = np.random.default_rng(0).uniform(0, 900, (2, 90, 130)).astype(np.float32)
    array[:, 30:52, 60:81] = np.nan
    return ArraySource(array)


def only(scene: ArraySource, window: Window) -> PatchSource:
    patches = [Patch(window, *scene.read(window))]
    return PatchSource(scene.shape, scene.bands, scene.dtype, patches)


@pytest.mark.parametrize("levels", LEVELS)
@pytest.mark.parametrize("place", [(0, 0, 8, 8), (28, 50, 9, 30), (80, 121, 10, 9)])
def test_blocks_need_their_cells_and_no_more(scene, levels, place):
    factor = 2 ** len(levels)
    window = Window(*place)
    radiometry = Radiometry.of(scene)
    options: dict[str, Any] = {"radiometry": radiometry, "tile": 4096}
    needed = BlockTiler(scene, levels, factor, **options).needs(window.scaled(factor))
    assert needed.height * needed.width < 90 * 130
    tiles = []
    for source in (scene, only(scene, needed)):
        tiler = BlockTiler(source, levels, factor, aoi=window, **options)
        tiles += [tiler.make(place) for place in tiler.places[:1]]
    np.testing.assert_array_equal(tiles[0].pixels, tiles[1].pixels)
    np.testing.assert_array_equal(tiles[0].valid, tiles[1].valid)


def test_areas_need_their_squares():
    array = np.random.default_rng(1).uniform(0, 900, (1, 150, 260)).astype(np.float32)
    scene, levels = ArraySource(array), [Noisy()]
    radiometry, grid = Radiometry.of(scene), grid_of_scale(scene.shape, 7.3)
    part = grid.part_over(Window(90, 90, 10, 8))

    def tiler(source: Source, part: Window | None) -> AreaTiler:
        stage = GridStage(Pyramid(source, radiometry, levels), AreaAverage(), grid)
        return AreaTiler(source, stage, grid, radiometry=radiometry, part=part)

    needed = tiler(scene, None).needs(part)
    assert needed.height * needed.width < 150 * 260
    whole, alone = tiler(scene, part), tiler(only(scene, needed), part)
    for place in whole.places:
        np.testing.assert_array_equal(whole.make(place).pixels, alone.make(place).pixels)


def test_pixels_that_are_not_at_hand_cannot_be_read(scene):
    source = only(scene, Window(10, 10, 5, 5))
    assert source.read(Window(11, 12, 4, 3))[0].shape == (2, 4, 3)
    with pytest.raises(AssertionError, match="no patch"):
        source.read(Window(9, 10, 5, 5))


def test_the_scene_of_patches_has_the_size_of_the_whole(scene):
    assert only(scene, Window(0, 0, 1, 1)).shape == Shape(90, 130)
