"""Which of a model's own scales, one after the other, reach a scale that it was not made for."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator


def steps_to(scale: int, native: Collection[int]) -> list[int]:
    """The steps whose product is ``scale`` or least above it; what is too fine is reduced by area.

    Of several ways the one with the fewest steps is taken, and its largest step comes first, because the
    image that a sensor took bears more than one that a network made. x8 of (2, 3, 4) is 4 then 2, x6 is
    3 then 2, x2 of (4,) is 4.

    Args:
        scale: What is to be reached, at least 2.
        native: Scales that can be made at once, at least one, each at least 2.

    Returns:
        Native scales, the largest first.
    """
    assert min(native, default=1) >= 2, f"{native} do not enlarge"
    ways = _descending(scale, sorted(set(native), reverse=True))
    return min(ways, key=lambda steps: (math.prod(steps), len(steps)))


def _descending(scale: int, native: list[int]) -> Iterator[list[int]]:
    """All shortest sequences of steps, none larger than the one before, that reach ``scale``."""
    if scale == 1:
        yield []
        return
    for index, step in enumerate(native):
        for rest in _descending(-(-scale // step), native[index:]):
            yield [step, *rest]
