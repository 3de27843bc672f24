from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ultrares.scene.windows import bounding, inside, mirror, tiles, whole
from ultrares.types import Shape, Window

SIDES = st.integers(1, 60)


@given(SIDES, st.integers(0, 40), st.integers(0, 40))
def test_mirror_is_numpy_s_reflection(size: int, before: int, after: int) -> None:
    expected = np.pad(np.arange(size), (before, after), mode="symmetric")
    assert np.array_equal(mirror(-before, before + size + after, size), expected)


@given(SIDES, st.integers(-500, 500), st.integers(1, 30))
def test_mirror_has_a_period_and_stays_inside(size: int, start: int, length: int) -> None:
    places = mirror(start, length, size)
    assert len(places) == length
    assert 0 <= places.min() <= places.max() < size
    assert np.array_equal(places, mirror(start + 2 * size, length, size))


@given(SIDES, SIDES, st.integers(-20, 20), st.integers(-20, 20), st.integers(1, 70))
def test_tiles_cover_a_window_once_along_the_absolute_grid(
    height: int, width: int, row: int, col: int, side: int
) -> None:
    count = np.zeros((height, width), int)
    for tile in tiles(Window(row, col, height, width), side):
        assert min(tile.height, tile.width) > 0
        assert tile.row // side == (tile.row + tile.height - 1) // side
        assert tile.col // side == (tile.col + tile.width - 1) // side
        top, left = tile.row - row, tile.col - col
        assert min(top, left) >= 0
        count[top : top + tile.height, left : left + tile.width] += 1
    assert (count == 1).all()


def test_bounding_covers_its_indices() -> None:
    assert bounding(np.array([4, 9, 5])) == (4, 6)
    assert bounding(np.array([7])) == (7, 1)


def test_clipped_is_the_part_inside_an_image() -> None:
    assert Window(-3, 5, 10, 4).clipped(Shape(6, 8)) == Window(0, 5, 6, 3)
    assert Window(1, 2, 3, 4).clipped(Shape(6, 8)) == Window(1, 2, 3, 4)


def test_inside_is_what_an_image_holds() -> None:
    shape = Shape(4, 6)
    assert inside(whole(shape), shape)
    assert inside(Window(3, 5, 1, 1), shape)
    assert not inside(Window(3, 5, 2, 1), shape)
    assert not inside(Window(-1, 0, 2, 1), shape)
    assert not inside(Window(0, 5, 1, 2), shape)


@given(SIDES, st.integers(-40, 40), st.integers(1, 30), st.integers(1, 8))
def test_a_finer_image_is_mirrored_to_the_same_places(
    size: int, start: int, length: int, factor: int
) -> None:
    """Averaged back, mirrored fine positions are the mirrored coarse ones."""
    fine = mirror(start * factor, length * factor, size * factor)
    coarse = fine.reshape(length, factor) // factor
    assert (coarse == mirror(start, length, size)[:, None]).all()
