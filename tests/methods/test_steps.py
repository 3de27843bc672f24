from __future__ import annotations

import math
from itertools import combinations_with_replacement

import pytest

from ultrares.methods.steps import steps_to

NATIVES = [(2,), (4,), (2, 4), (2, 3, 4), (3,), (8,), (3, 5)]


@pytest.mark.parametrize(
    ("scale", "native", "steps"),
    [
        (8, (2, 3, 4), [4, 2]),
        (6, (2, 3, 4), [3, 2]),
        (2, (4,), [4]),
        (32, (4,), [4, 4, 4]),
        (5, (2,), [2, 2, 2]),
        (128, (2, 4), [4, 4, 4, 2]),
        (7, (2, 3, 4), [4, 2]),
    ],
)
def test_known_ways(scale: int, native: tuple[int, ...], steps: list[int]) -> None:
    assert steps_to(scale, native) == steps


@pytest.mark.parametrize("native", NATIVES)
def test_no_other_way_comes_nearer_or_is_shorter(native: tuple[int, ...]) -> None:
    products: dict[int, int] = {}
    for count in range(1, 8):
        for way in combinations_with_replacement(native, count):
            product = math.prod(way)
            products[product] = min(count, products.get(product, count))
    for scale in range(2, 129):
        best = min(product for product in products if product >= scale)
        steps = steps_to(scale, native)
        assert math.prod(steps) == best
        assert len(steps) == products[best]
        assert sorted(steps, reverse=True) == steps
