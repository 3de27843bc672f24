"""Distance from the truth, pixel by pixel."""

from __future__ import annotations

import math

import numpy as np


def psnr(estimate: np.ndarray, truth: np.ndarray, *, peak: float = 255.0) -> float:
    """Peak signal-to-noise ratio in decibels, over all bands and pixels at once.

    Args:
        estimate: Any shape, any numeric type.
        truth: The same shape.
        peak: Largest value the data can take.

    Returns:
        10 log10(peak^2 / MSE); infinity where both are equal.
    """
    assert estimate.shape == truth.shape, f"{estimate.shape} and {truth.shape}"
    error = float(np.mean((estimate.astype(np.float64) - truth.astype(np.float64)) ** 2))
    return math.inf if error == 0 else 10 * math.log10(peak**2 / error)
