"""Sums over pixels that the error metrics are made of, band by band."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ultrares.metrics.patch import Patch
from ultrares.metrics.pixels import Pixels, as_doubles


class ErrorSums:
    """What is known of the errors so far: counts and sums in double precision.

    Args:
        bands: Number of bands.
    """

    def __init__(self, bands: int) -> None:
        self.count = 0
        self._absolute, self._squared, self._truth, self._truth_squared = (
            torch.zeros(bands, dtype=torch.float64) for _ in range(4)
        )

    @classmethod
    def of(cls, estimate: Pixels, truth: Pixels) -> ErrorSums:
        """The sums of two images of any shape, as one band.

        Raises:
            InputError: The shapes differ.
        """
        one, other = as_doubles(estimate, truth)
        return cls.of_bands(one.reshape(1, -1), other.reshape(1, -1))

    @classmethod
    def of_bands(cls, estimate: Tensor, truth: Tensor) -> ErrorSums:
        """The sums of doubles of shape (C, n)."""
        sums = cls(len(truth))
        sums.add_pixels(estimate, truth)
        return sums

    def add(self, patch: Patch) -> None:
        """Count the core of a patch."""
        self.add_pixels(*patch.counted)

    def add_pixels(self, estimate: Tensor, truth: Tensor) -> None:
        """Count pixels of shape (C, n)."""
        self.count += truth.shape[-1]
        for band, (one, other) in enumerate(zip(estimate, truth, strict=True)):
            error = one - other
            self._absolute[band] += error.abs().sum()
            self._squared[band] += torch.dot(error, error)
            self._truth[band] += other.sum()
            self._truth_squared[band] += torch.dot(other, other)

    @property
    def mean_squares(self) -> Tensor:
        """Mean squared error of each band, shape (C)."""
        return self._squared / self.count

    @property
    def truth_means(self) -> Tensor:
        """Mean of the truth in each band, shape (C)."""
        return self._truth / self.count

    @property
    def mse(self) -> float:
        """Mean squared error over all bands."""
        return float(self.mean_squares.mean())

    @property
    def mae(self) -> float:
        """Mean absolute error over all bands."""
        return float((self._absolute / self.count).mean())

    @property
    def relative(self) -> float:
        """Root of the sum of squared errors over the sum of squared truths, over all bands."""
        return math.sqrt(_ratio(float(self._squared.sum()), float(self._truth_squared.sum())))

    @property
    def signal_over_mse(self) -> float:
        """Square of the truth's mean, over all bands, over the mean squared error."""
        return _ratio(float(self.truth_means.mean()) ** 2, self.mse)


def decibels(ratio: float) -> float:
    """Ten times the decimal logarithm; infinite for infinity, minus infinity for zero."""
    if ratio <= 0:
        return -math.inf
    return math.inf if ratio == math.inf else 10 * math.log10(ratio)


def _ratio(above: float, below: float) -> float:
    if below == 0:
        return math.nan if above == 0 else math.inf
    return above / below
