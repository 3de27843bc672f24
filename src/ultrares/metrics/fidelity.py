"""Distance from the truth, pixel by pixel."""

from __future__ import annotations

import math

from ultrares.metrics.pixels import Pixels, as_doubles


def psnr(estimate: Pixels, truth: Pixels, *, peak: float = 255.0) -> float:
    """Peak signal-to-noise ratio in decibels, over all bands and pixels at once.

    Args:
        estimate: Any shape, any numeric type.
        truth: The same shape.
        peak: Largest value the data can take.

    Returns:
        10 log10(peak^2 / MSE); infinity where both are equal.

    Raises:
        InputError: The shapes differ.
    """
    one, other = as_doubles(estimate, truth)
    error = float((one - other).square().mean())
    return math.inf if error == 0 else 10 * math.log10(peak**2 / error)
