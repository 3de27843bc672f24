"""The normal distributions that variational auto-encoders speak of."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Gaussian(NamedTuple):
    """A normal distribution with independent components.

    Attributes:
        mean: Any shape with the batch first.
        log_variance: The same shape.
    """

    mean: Tensor
    log_variance: Tensor

    @classmethod
    def stacked(cls, both: Tensor) -> Gaussian:
        """From a layer's result (B, 2 * C, ...): the means, then the logarithms of the variances."""
        mean, log_variance = both.chunk(2, dim=1)
        # Beyond these the exponential is no use to anybody.
        return cls(mean, log_variance.clamp(-12.0, 12.0))

    def at(self, normal: Tensor) -> Tensor:
        """The value that a standard normal number of the same shape stands for."""
        return self.mean + normal * torch.exp(0.5 * self.log_variance)

    def divergence(self) -> Tensor:
        """Kullback-Leibler divergence from the standard normal distribution, mean over components, 0-d.

        (mu^2 + s^2 - 1 - ln s^2) / 2, Kingma and Welling, arXiv 1312.6114, appendix B.
        """
        terms = self.mean.square() + self.log_variance.exp() - 1 - self.log_variance
        return 0.5 * terms.mean()
