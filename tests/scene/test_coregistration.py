from __future__ import annotations

import numpy as np
import pytest

from ultrares.scene.coregistration import SMALLEST, large_enough, whole_parts


def test_a_whole_window_is_one_part_however_small() -> None:
    assert whole_parts(np.ones((5, 7), bool)) == [(slice(0, 5), slice(0, 7))]


@pytest.mark.parametrize("seed", range(6))
def test_parts_are_whole_apart_and_as_large_as_can_be(seed: int) -> None:
    rng = np.random.default_rng(seed)
    valid = np.ones((256, 200), bool)
    for _ in range(seed + 1):
        row, col = rng.integers(250), rng.integers(195)
        valid[row : row + 6, col : col + 6] = False
    parts = whole_parts(valid)
    seen = np.zeros(valid.shape, int)
    for part in parts:
        assert valid[part].all()
        seen[part] += 1
    assert seen.max() == 1
    sides = {tuple(each.stop - each.start for each in part) for part in parts}
    assert len(sides) == 1
    (height, width) = sides.pop()
    assert min(height, width) >= SMALLEST
    # No square of twice the side on the same quarters is whole.
    wider = valid[: 256 // (2 * height) * 2 * height, : 200 // (2 * width) * 2 * width]
    blocks = wider.reshape(wider.shape[0] // (2 * height), 2 * height, -1, 2 * width)
    assert not blocks.all(axis=(1, 3)).any()


def test_nothing_is_left_of_a_sieve() -> None:
    valid = np.ones((256, 256), bool)
    valid[::20] = False
    assert whole_parts(valid) == []


def test_a_long_window_is_halved_along_its_length() -> None:
    valid = np.ones((300, 60), bool)
    valid[10, 10] = False
    assert whole_parts(valid) == [(slice(150, 300), slice(0, 60))]


def test_small_windows_vote_only_where_large_ones_say_too_little() -> None:
    def window(side: int) -> tuple[np.ndarray, np.ndarray]:
        return np.zeros((side, side)), np.zeros((side, side))

    large, half, small = window(256), window(200), window(32)
    assert large_enough([small, large, half], 1024) == [large, half]
    assert large_enough([small, small], 4096) == [small, small]
    assert large_enough([small, large], 256 * 256 + 1) == [large, small]
    assert large_enough([], 1024) == []
