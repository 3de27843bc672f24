from __future__ import annotations

import pytest

from ultrares.errors import OptionError
from ultrares.scene.budget import (
    BYTES_PER_DRAW,
    BYTES_PER_PIXEL_AND_BAND,
    DEFAULT_ROOM,
    SMALLEST_BUDGET,
    parse_memory,
    tile_for,
)


@pytest.mark.parametrize("memory", [None, 2 << 30, 8 << 30])
@pytest.mark.parametrize("bands", [1, 6, 40])
@pytest.mark.parametrize("draws", [1, 8, 64])
def test_a_tile_of_all_draws_fits_its_share(memory: int | None, bands: int, draws: int) -> None:
    side = tile_for(None, memory, bands, draws)
    room = DEFAULT_ROOM if memory is None else (memory - SMALLEST_BUDGET) / 4
    per_pixel = bands * (BYTES_PER_PIXEL_AND_BAND + BYTES_PER_DRAW * (draws - 1))
    assert side == 128 or side**2 * per_pixel <= room
    assert side % 128 == 0
    assert side <= tile_for(None, memory, bands)


def test_a_tile_that_was_asked_for_is_taken() -> None:
    assert tile_for(48, 2 << 30, 3, 64) == 48


def test_draws_make_tiles_smaller() -> None:
    assert tile_for(None, None, 3) == 512
    assert tile_for(None, 4 << 30, 6, 16) < tile_for(None, 4 << 30, 6)


def test_the_smallest_budget_is_the_one_that_the_refusal_names() -> None:
    with pytest.raises(OptionError, match="at least 1GB is needed"):
        parse_memory("999MB")
    assert tile_for(None, parse_memory("1GB"), 3, 8) == 128
