"""One figure for the errors of all bands, each relative to its band's mean."""

from __future__ import annotations

import math

from ultrares.errors import InputError
from ultrares.metrics.error_sums import ErrorSums
from ultrares.metrics.patch import SIDE, Patch
from ultrares.metrics.pixels import Pixels, as_doubles


def ergas(estimate: Pixels, truth: Pixels, *, scale: float) -> float:
    """Relative dimensionless global error in synthesis (Wald, 2000); lower is better.

    It is 100 / scale times the root of the mean over bands of MSE / mean(truth)^2.

    Args:
        estimate: Shape (C, H, W), any numeric type.
        truth: The same shape.
        scale: Fine pixels per coarse pixel, along one side.

    Returns:
        0 and more; not-a-number if a band of the truth has a mean of zero.

    Raises:
        InputError: The shapes differ, or are not (C, H, W).
    """
    one, other = as_doubles(estimate, truth)
    if one.ndim != 3:
        raise InputError(f"ERGAS of shape {tuple(one.shape)} is not defined: pass (C, H, W)")
    return _ergas(ErrorSums.of_bands(one.flatten(1), other.flatten(1)), scale)


def _ergas(sums: ErrorSums, scale: float) -> float:
    if bool((sums.truth_means == 0).any()):
        return math.nan
    relative = sums.mean_squares / sums.truth_means.square()
    return 100 / scale * math.sqrt(float(relative.mean()))


class ErgasTally:
    """ERGAS, added up patch by patch.

    Args:
        bands: Number of bands.
        scale: Fine pixels per coarse pixel, along one side.
    """

    halo = 0
    side = SIDE

    def __init__(self, bands: int, scale: float) -> None:
        self._sums, self._scale = ErrorSums(bands), scale

    def add(self, patch: Patch) -> None:
        """Count the core of a patch."""
        self._sums.add(patch)

    def scores(self) -> dict[str, float]:
        """``ergas``."""
        return {"ergas": _ergas(self._sums, self._scale)}
