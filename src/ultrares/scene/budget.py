"""From what the process may use to how much is computed at once."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ultrares.errors import OptionError

DEFAULT_TILE, LARGEST_TILE = 512, 2048
DEFAULT_ROOM = 512 << 20
"""Bytes for a tile where the caller sets no limit."""

SMALLEST_BUDGET = 10**9
"""Interpreter, libraries and weights take most of this before the first pixel."""

BYTES_PER_PIXEL_AND_BAND = 64
"""Peak use of a tile per output pixel and band: levels in float32, projection in float64."""

BYTES_PER_DRAW = 20
"""Peak use of each further draw, in float32: at the last level, which may be twice as fine as the output,
and at the output scale."""

LARGEST_BLOCK_CACHE = 256 << 20
"""Bytes that GDAL may keep of decoded blocks where memory is not short."""

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
        raise OptionError(f"memory {text!r} is no amount: write it like 4GB or 1500MB")
    amount = int(float(match[1]) * _UNITS[match[2]])
    if amount < SMALLEST_BUDGET:
        raise OptionError(f"memory {text!r} is too little to work in: at least 1GB is needed")
    return amount


def tile_for(tile: int | None, memory: int | None, bands: int, draws: int = 1) -> int:
    """Side of a tile in output pixels: what was asked for, else what the memory allows.

    Args:
        tile: What was asked for.
        memory: What the process may use, in bytes; None for the default tile, or less where bands and
            draws are many.
        bands: Number of bands.
        draws: Number of draws, all of which are held at once.

    Raises:
        OptionError: The tile is smaller than 16 pixels or larger than 16384.
    """
    if tile is not None:
        if not 16 <= tile <= 16384:
            raise OptionError(f"tile {tile}: pass a side of 16 to 16384 output pixels")
        return tile
    room = DEFAULT_ROOM if memory is None else (memory - SMALLEST_BUDGET) / 4
    largest = DEFAULT_TILE if memory is None else LARGEST_TILE
    per_pixel = (BYTES_PER_PIXEL_AND_BAND + BYTES_PER_DRAW * (draws - 1)) * bands
    side = int((room / per_pixel) ** 0.5)
    # Whole blocks of the written file, or a part of one where memory is short.
    return max(128, min(largest, side // 128 * 128))


def cache_for(memory: int | None) -> int:
    """Bytes that computed cells may keep in memory, all their draws counted."""
    return 512 << 20 if memory is None else max(64 << 20, (memory - SMALLEST_BUDGET) // 4)


@dataclass(frozen=True)
class Budget:
    """What the process may use, and how it is shared out.

    Attributes:
        memory: Bytes in all; None sets no limit.
        cells: Of these, for computed cells.
        blocks: Of these, for blocks of files that GDAL has decoded.
    """

    memory: int | None
    cells: int
    blocks: int

    @classmethod
    def of(cls, text: str | int | None) -> Budget:
        """Share out an amount.

        Raises:
            OptionError: It is no amount of memory, or too small to work in.
        """
        memory = parse_memory(text)
        blocks = LARGEST_BLOCK_CACHE
        if memory is not None:
            blocks = min(blocks, max(32 << 20, (memory - SMALLEST_BUDGET) // 8))
        return cls(memory, cache_for(memory), blocks)
