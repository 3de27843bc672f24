"""The draws of a place at the output scale: their mean, and how far they lie apart.

Every sum runs in a fixed order pixel by pixel, so that a pixel's result does not depend on how many pixels
are computed together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from ultrares.scene.grid_stage import GridStage
from ultrares.scene.pyramid import Pyramid
from ultrares.scene.windows import bounding, mirror
from ultrares.types import Shape, Window

DrawsAt = Callable[[Window], NDArray[np.float32]]
"""The draws of a window of scene pixels at the output scale, (N, L, scale * h, scale * w) for N draws and L
lit bands, in [0, 1]; outside the scene they are mirrored."""


def draws_of_levels(pyramid: Pyramid, scale: int) -> DrawsAt:
    """The last level's pixels, averaged where it is finer than the output.

    Args:
        pyramid: Its last level is ``scale`` times finer than the scene, or more.
        scale: Output pixels per scene pixel.
    """
    top = pyramid.top
    factor = pyramid.factor(top)

    def draws_at(window: Window) -> NDArray[np.float32]:
        fine: NDArray[np.float32] = pyramid.read(top, window.scaled(factor)).numpy()
        if factor == scale:
            return fine
        return np.stack([area_average(draw, factor, scale) for draw in fine])

    return draws_at


def draws_of_stage(stage: GridStage, scale: int) -> DrawsAt:
    """The pixels of the step that follows the last level, which ends at the output scale."""

    def draws_at(window: Window) -> NDArray[np.float32]:
        fine = window.scaled(scale)
        rows = mirror(fine.row, fine.height, stage.shape.height)
        cols = mirror(fine.col, fine.width, stage.shape.width)
        (row, height), (col, width) = bounding(rows), bounding(cols)
        inner = stage.read(Window(row, col, height, width))
        return inner[:, :, rows - row][..., cols - col]

    return draws_at


def mean_of(draws: NDArray[np.float32]) -> NDArray[np.float64]:
    """The mean of draws (N, L, h, w), shape (L, h, w); exact where all draws are equal."""
    total = draws[0].astype(np.float64)
    for draw in draws[1:]:
        total += draw
    return total / len(draws)


def spread_of(
    draws: NDArray[np.float32], mean: NDArray[np.float64], scale: int, *, exact: bool
) -> NDArray[np.float64]:
    """The standard deviation of draws, without bias: the sum of squares is divided by N - 1.

    A product's block means are those of the scene, so what its draws may differ in is only the rest: if
    ``exact``, each draw is first moved by one number per block to the block mean of ``mean``. Then all
    draws have the same block means, whose spread is zero. Clipping to the range of the type and rounding
    are left out.

    Args:
        draws: Shape (N, L, scale * h, scale * w), N of at least 2.
        mean: Their mean, shape (L, scale * h, scale * w).
        scale: Side of a block.
        exact: Whether the product is projected to its block means.

    Returns:
        Shape (L, scale * h, scale * w), in the units of ``draws``.
    """
    assert len(draws) > 1, "one draw has no spread"
    bands, height, width = mean.shape
    squares = np.zeros((bands, height // scale, scale, width // scale, scale))
    for draw in draws:
        # Deviations are small, so that single precision keeps more of them than of the draw.
        deviation = (draw - mean).astype(np.float32)
        offset = area_average(deviation, scale, 1)[:, :, None, :, None] if exact else np.float32(0)
        squares += (deviation.reshape(squares.shape) - offset) ** 2
    return np.sqrt(squares / (len(draws) - 1)).reshape(mean.shape)


def calibrated_spread(
    draws_at: DrawsAt, window: Window, scene: Shape, scale: int, widening: float, *, exact: bool
) -> NDArray[np.float64]:
    """How far the truth is to be expected from the mean of the draws.

    A variance from a handful of draws is itself noisy, so it is averaged over 3 x 3 pixels; and draws lie
    closer together than the truth lies to them, by a factor that was measured.

    Args:
        draws_at: Where the draws come from.
        window: Scene pixels, inside the scene.
        scene: Height and width of the scene, around which draws are mirrored.
        scale: Output pixels per scene pixel.
        widening: Factor on the standard deviation.
        exact: Whether the product is projected to its block means.

    Returns:
        Shape (L, scale * h, scale * w), in the units of the draws.
    """
    wide = window.padded(1)
    inside = wide.clipped(scene)
    draws = draws_at(inside)
    variance = spread_of(draws, mean_of(draws), scale, exact=exact) ** 2
    # Where draws would be mirrored, so is their variance.
    before = [inside.row - wide.row, inside.col - wide.col]
    missing = [wide.height - inside.height, wide.width - inside.width]
    mirrored = [
        (scale * first, scale * (both - first)) for first, both in zip(before, missing, strict=True)
    ]
    variance = np.pad(variance, ((0, 0), *mirrored), mode="symmetric")
    # Output pixels around the window: one of each scene pixel's block is enough.
    near = variance[:, scale - 1 : 1 - scale or None, scale - 1 : 1 - scale or None]
    return widening * np.sqrt(_pooled(near))


def spread_of_draws(
    draws: NDArray[np.float32], mean: NDArray[np.float64], widening: float | None
) -> NDArray[np.float64]:
    """The standard deviation of draws on a grid of any scale, pooled and widened if it was measured how far.

    Args:
        draws: Shape (N, L, h, w), N of at least 2.
        mean: Their mean, shape (L, h, w).
        widening: Factor on the standard deviation; None leaves it as it is.

    Returns:
        Shape (L, h, w); the outermost pixels repeat their neighbours' pooling.
    """
    assert len(draws) > 1, "one draw has no spread"
    squares = np.zeros(mean.shape)
    for draw in draws:
        squares += (draw - mean).astype(np.float32) ** 2
    variance = squares / (len(draws) - 1)
    if widening is None:
        return np.sqrt(variance)
    return widening * np.sqrt(_pooled(np.pad(variance, ((0, 0), (1, 1), (1, 1)), mode="edge")))


def _pooled(variance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means over 3 x 3 neighbours of (L, h + 2, w + 2), shape (L, h, w)."""
    rows = variance[:, :-2] + variance[:, 1:-1] + variance[:, 2:]
    return (rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]) / 9


def area_average(image: NDArray[np.float32], factor: int, scale: int) -> NDArray[np.float32]:
    """Reduce blocks of ``factor`` pixels to blocks of ``scale`` by the areas that overlap.

    Sums run in a fixed order pixel by pixel, so that a block's result does not depend on how many blocks
    are computed together.

    Args:
        image: Shape (C, h * factor, w * factor).
        factor: Pixels per block and side now.
        scale: Pixels per block and side wanted, at most ``factor``.

    Returns:
        Shape (C, h * scale, w * scale).
    """
    bands, height, width = image.shape
    rows = image.reshape(bands, height // factor, factor, width)
    lines = np.zeros((bands, height // factor, scale, width), dtype=np.float32)
    for out, into, share in _overlaps(factor, scale):
        lines[:, :, out] += np.float32(share) * rows[:, :, into]
    columns = lines.reshape(bands, -1, width // factor, factor)
    result = np.zeros((*columns.shape[:3], scale), dtype=np.float32)
    for out, into, share in _overlaps(factor, scale):
        result[..., out] += np.float32(share) * columns[..., into]
    return result.reshape(bands, height // factor * scale, width // factor * scale)


def _overlaps(factor: int, scale: int) -> Iterator[tuple[int, int, float]]:
    """Which of ``factor`` pixels each of ``scale`` covers, and the share of it that each is."""
    for out in range(scale):
        # In units of 1 / (factor * scale) of the block, so that everything is whole.
        start, stop = out * factor, (out + 1) * factor
        for into in range(start // scale, -(-stop // scale)):
            overlap = min(stop, (into + 1) * scale) - max(start, into * scale)
            yield out, into, overlap / factor
