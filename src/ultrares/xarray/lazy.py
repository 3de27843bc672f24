"""A dask array upscaled chunk by chunk, each from just the pixels that it depends on."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import accumulate
from typing import Any

import dask.array as da
import numpy as np
from dask.delayed import delayed
from torch import Tensor

from ultrares.scene.patches import Patch, PatchSource
from ultrares.scene.radiometry import Radiometry
from ultrares.scene.source import SAMPLE_SIDE
from ultrares.types import Shape, Window
from ultrares.xarray.wish import Wish, made


def upscaled_lazily(array: da.Array, wish: Wish) -> da.Array:
    """Upscale a dask array (C, H, W); chunks of rows and columns become chunks of the result.

    What is global is computed first, once, and lazily: the radiometric range from every n-th pixel, and
    the integrals of an operator from eight places. Every chunk is then a task of its own, whose input is
    cut out with all the context that its pixels depend on. So the result is that of the whole array at
    once, bit for bit.

    Args:
        array: Of any chunks.
        wish: How.
    """
    scene = PatchSource(Shape(*array.shape[1:]), array.shape[0], array.dtype)
    grid, geometry = wish.grid(scene.shape), wish.tiler(scene, _no_radiometry(scene.bands))
    steps = [-(-side // SAMPLE_SIDE) for side in scene.shape]
    sample = array[:, :: steps[0], :: steps[1]]
    radiometry = delayed(partial(_radiometry, wish=wish), pure=False)(sample)
    stage = geometry.stage
    surveyed = [] if stage is None else stage.surveyed()
    integrals = None
    if surveyed:
        gather = partial(_integrals, windows=surveyed, scene=scene, wish=wish)
        pieces = [_cut(array, window) for window in surveyed]
        integrals = delayed(gather, pure=False)(radiometry, *pieces)
    rows = []
    for top, bottom in _spans(array.chunks[1]):
        row = []
        for left, right in _spans(array.chunks[2]):
            part = grid.part_over(Window(top, left, bottom - top, right - left))
            needed = geometry.needs(part)
            make = partial(_chunk, window=needed, part=part, scene=scene, wish=wish)
            chunk = delayed(make, pure=False)(_cut(array, needed), radiometry, integrals)
            shape = (scene.bands, part.height, part.width)
            row.append(da.from_delayed(chunk, shape, dtype=array.dtype))
        rows.append(row)
    result: da.Array = da.block(rows)
    return result


def _spans(chunks: Sequence[int]) -> list[tuple[int, int]]:
    """Where chunks of an axis begin and end."""
    ends = list(accumulate(chunks))
    return [(end - length, end) for length, end in zip(chunks, ends, strict=True) if length]


def _cut(array: da.Array, window: Window) -> da.Array:
    rows = slice(window.row, window.row + window.height)
    return array[:, rows, window.col : window.col + window.width]


def _radiometry(sample: np.ndarray, *, wish: Wish) -> Radiometry:
    return Radiometry.of(wish.source(sample))


def _integrals(
    radiometry: Radiometry,
    *pieces: np.ndarray,
    windows: Sequence[Window],
    scene: PatchSource,
    wish: Wish,
) -> list[Tensor]:
    """The integrals of the last step, from the places that are surveyed."""
    stage = wish.tiler(_with(scene, windows, pieces, wish), radiometry).stage
    assert stage is not None
    return stage.integrals()


def _chunk(
    piece: np.ndarray,
    radiometry: Radiometry,
    integrals: Sequence[Tensor] | None,
    *,
    window: Window,
    part: Window,
    scene: PatchSource,
    wish: Wish,
) -> np.ndarray:
    """A chunk of the result from the scene's pixels that it depends on."""
    source = _with(scene, [window], [piece], wish)
    tiler = wish.tiler(source, radiometry, part=part, integrals=integrals)
    return made(tiler, source, Shape(part.height, part.width))


def _with(
    scene: PatchSource, windows: Sequence[Window], pieces: Sequence[np.ndarray], wish: Wish
) -> PatchSource:
    patches = [
        Patch(window, piece, wish.valid(piece))
        for window, piece in zip(windows, pieces, strict=True)
    ]
    return PatchSource(scene.shape, scene.bands, scene.dtype, patches)


def _no_radiometry(bands: int) -> Radiometry:
    """A range for a tiler that is asked for places only."""
    nothing: Any = np.zeros((bands, 1, 1))
    return Radiometry(
        np.ones(bands, bool), nothing, nothing + 1, nothing[:, 0, 0].astype(np.float32), (0, 1)
    )
