"""How many doublings an enlargement takes."""

from __future__ import annotations


def octaves(scale: int) -> int:
    """The binary logarithm of a scale, which has to be a power of two."""
    count = scale.bit_length() - 1
    assert 2**count == scale, f"x{scale} is no power of two"
    return count
