"""From what the process may use to how much is computed at once."""

from __future__ import annotations

import re

from ultrares.errors import OptionError

DEFAULT_TILE = 512
SMALLEST_BUDGET = 1 << 30
"""Interpreter, libraries and weights take most of this before the first pixel."""

BYTES_PER_PIXEL_AND_BAND = 64
"""Peak use of a tile per output pixel and band: levels in float32, projection in float64."""

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}


def parse_memory(text: str | int | None) -> int | None:
    """Turn ``"4GB"``, ``"800 MB"`` or a number of bytes into bytes.

    Raises:
        OptionError: The text is no amount of memory, or too small to work in.
    """
    if text is None:
        return None
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?\s*", str(text).lower())
    if match is None:
        raise OptionError(f"memory {text!r} is no amount: write it like 4GB or 800MB")
    amount = int(float(match[1]) * _UNITS[match[2]])
    if amount < SMALLEST_BUDGET:
        raise OptionError(f"memory {text!r} is too little to work in: at least 1GB is needed")
    return amount


def tile_for(tile: int | None, memory: int | None, bands: int) -> int:
    """Side of a tile in output pixels: what was asked for, else what the memory allows.

    Raises:
        OptionError: The tile is smaller than 16 pixels or larger than 16384.
    """
    if tile is not None:
        if not 16 <= tile <= 16384:
            raise OptionError(f"tile {tile}: pass a side of 16 to 16384 output pixels")
        return tile
    if memory is None:
        return DEFAULT_TILE
    room = (memory - SMALLEST_BUDGET) / 4
    side = int((room / (BYTES_PER_PIXEL_AND_BAND * bands)) ** 0.5)
    # Whole blocks of the written file, or a part of one where memory is short.
    return max(128, min(2048, side // 128 * 128))


def cache_for(memory: int | None) -> int:
    """Bytes that computed cells may keep in memory."""
    return 512 << 20 if memory is None else max(64 << 20, (memory - SMALLEST_BUDGET) // 4)
