"""Distance from the truth, pixel by pixel."""

from __future__ import annotations

import math

from ultrares.metrics.error_sums import ErrorSums, decibels
from ultrares.metrics.patch import SIDE, Patch
from ultrares.metrics.pixels import Pixels


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
    return psnr_of(ErrorSums.of(estimate, truth).mse, peak)


def psnr_of(mse: float, peak: float) -> float:
    """Peak signal-to-noise ratio in decibels of a mean squared error."""
    return math.inf if mse == 0 else 10 * math.log10(peak**2 / mse)


def mae_dn(estimate: Pixels, truth: Pixels) -> float:
    """Mean absolute error in digital numbers, over all bands and pixels.

    Args:
        estimate: Any shape, any numeric type.
        truth: The same shape.

    Raises:
        InputError: The shapes differ.
    """
    return ErrorSums.of(estimate, truth).mae


def sre(estimate: Pixels, truth: Pixels) -> float:
    """Relative error in percent: 100 times the norm of the error over the norm of the truth.

    The norms are taken over all bands and pixels at once; lower is better. The papers that print "SRE"
    publish no formula, so compare figures of this function with each other only.

    Args:
        estimate: Any shape, any numeric type.
        truth: The same shape.

    Returns:
        0 and more; infinity, or not-a-number if the estimate is zero too, for a truth of zeros.

    Raises:
        InputError: The shapes differ.
    """
    return 100 * ErrorSums.of(estimate, truth).relative


def sre_db(estimate: Pixels, truth: Pixels) -> float:
    """Signal-to-reconstruction error in decibels: 10 log10(mean(truth)^2 / MSE); higher is better.

    Source: Lanaras et al., "Super-resolution of Sentinel-2 images", 2018, with means over all bands.

    Args:
        estimate: Any shape, any numeric type.
        truth: The same shape.

    Raises:
        InputError: The shapes differ.
    """
    return decibels(ErrorSums.of(estimate, truth).signal_over_mse)


class FidelityTally:
    """The metrics of this file, added up patch by patch.

    Args:
        bands: Number of bands.
        peak: Largest value the data can take.
    """

    halo = 0
    side = SIDE

    def __init__(self, bands: int, peak: float) -> None:
        self._sums, self._peak = ErrorSums(bands), peak

    def add(self, patch: Patch) -> None:
        """Count the core of a patch."""
        self._sums.add(patch)

    def scores(self) -> dict[str, float]:
        """``psnr``, ``mae_dn``, ``sre`` and ``sre_db``."""
        sums = self._sums
        return {
            "psnr": psnr_of(sums.mse, self._peak),
            "mae_dn": sums.mae,
            "sre": 100 * sums.relative,
            "sre_db": decibels(sums.signal_over_mse),
        }
