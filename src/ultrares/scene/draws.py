"""The draws of a place at the output scale: their mean, and how far they lie apart.

Every sum runs in a fixed order pixel by pixel, so that a pixel's result does not depend on how many pixels
are computed together.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ultrares.scene.pyramid import Pyramid
from ultrares.types import Window


def draws_at(pyramid: Pyramid, window: Window, scale: int) -> NDArray[np.float32]:
    """The last level's pixels at the output scale.

    Args:
        pyramid: Its last level is ``scale`` times finer than the scene, or more.
        window: Scene pixels, inside the scene.
        scale: Output pixels per scene pixel.

    Returns:
        Shape (N, L, scale * h, scale * w) for N draws and L lit bands, in [0, 1].
    """
    top = pyramid.top
    factor = pyramid.factor(top)
    fine: NDArray[np.float32] = pyramid.read(top, window.scaled(factor)).numpy()
    if factor == scale:
        return fine
    return np.stack([area_average(draw, factor, scale) for draw in fine])


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
    pyramid: Pyramid, window: Window, scale: int, widening: float, *, exact: bool
) -> NDArray[np.float64]:
    """How far the truth is to be expected from the mean of the draws.

    A variance from a handful of draws is itself noisy, so it is averaged over 3 x 3 pixels; and draws lie
    closer together than the truth lies to them, by a factor that was measured.

    Args:
        pyramid: Its last level is ``scale`` times finer than the scene, or more.
        window: Scene pixels, inside the scene.
        scale: Output pixels per scene pixel.
        widening: Factor on the standard deviation.
        exact: Whether the product is projected to its block means.

    Returns:
        Shape (L, scale * h, scale * w), in the units of the pyramid.
    """
    draws = draws_at(pyramid, window.padded(1), scale)
    variance = spread_of(draws, mean_of(draws), scale, exact=exact) ** 2
    # Output pixels around the window: one of each scene pixel's block is enough.
    near = variance[:, scale - 1 : 1 - scale or None, scale - 1 : 1 - scale or None]
    rows = near[:, :-2] + near[:, 1:-1] + near[:, 2:]
    pooled = (rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]) / 9
    return widening * np.sqrt(pooled)


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
