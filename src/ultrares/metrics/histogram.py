"""How far the distribution of values lies from the truth's, band by band."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ultrares.errors import InputError
from ultrares.metrics.patch import SIDE, Patch
from ultrares.metrics.pixels import Pixels, as_doubles

MOST_LEVELS = 65_536


def histogram_distance(estimate: Pixels, truth: Pixels) -> tuple[float, ...]:
    """Wasserstein-1 distance of the two histograms of each band, in digital numbers.

    It is the mean distance that values have to be moved by to turn one histogram into the other, wherever
    in the image they are: 0 for a shuffled truth.

    Args:
        estimate: Shape (C, H, W), any numeric type.
        truth: The same shape.

    Returns:
        A distance for each band; exact, for it is computed from the sorted values.

    Raises:
        InputError: The shapes differ, or are not (C, H, W).
    """
    one, other = as_doubles(estimate, truth)
    if one.ndim != 3:
        raise InputError(
            f"histograms of the bands of shape {tuple(one.shape)} are not defined: pass (C, H, W)"
        )
    sorted_one, sorted_other = (image.flatten(1).sort(dim=1).values for image in (one, other))
    return tuple((sorted_one - sorted_other).abs().mean(dim=1).tolist())


class HistogramTally:
    """Histograms of both images, added up patch by patch.

    Whole numbers that span at most 65 536 levels are counted exactly; other values are rounded to one of
    65 536 levels between the extremes, which moves the distance by less than one level.

    Args:
        bands: Number of bands.
        lowest: Smallest value of either image.
        highest: Largest value of either image.
        whole_numbers: Whether both images hold whole numbers only.
    """

    halo = 0
    side = SIDE

    def __init__(self, bands: int, lowest: float, highest: float, *, whole_numbers: bool) -> None:
        exact = whole_numbers and highest - lowest < MOST_LEVELS
        self._lowest = lowest
        self._levels = int(highest - lowest) + 1 if exact else MOST_LEVELS
        self._step = 1.0 if exact else (highest - lowest) / (MOST_LEVELS - 1) or 1.0
        self._counts = torch.zeros(2, bands, self._levels, dtype=torch.int64)

    def add(self, patch: Patch) -> None:
        """Count the core of a patch."""
        for counts, pixels in zip(self._counts, patch.counted, strict=True):
            for band, values in zip(counts, pixels, strict=True):
                band += self._histogram(values)

    def _histogram(self, values: Tensor) -> Tensor:
        level = ((values - self._lowest) / self._step).round().long()
        return torch.bincount(level, minlength=self._levels)

    def scores(self) -> dict[str, float]:
        """``histogram_distance``, the mean over bands, and that of each band by its number."""
        total = int(self._counts[0, 0].sum())
        if not total:
            return {"histogram_distance": math.nan}
        ours, true = self._counts.cumsum(dim=-1)
        by_band = ((ours - true).abs().sum(dim=-1).double() / total * self._step).tolist()
        named = {
            f"histogram_distance_band_{band}": distance for band, distance in enumerate(by_band, 1)
        }
        return {"histogram_distance": math.fsum(by_band) / len(by_band)} | named
