"""Data of which everything is known: a one-dimensional Gaussian."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from ultrares.diffusion import SDE, Solver


@dataclass(frozen=True)
class Gaussian:
    """Clean signals N(mean, std^2) under a given process, with all closed forms."""

    sde: SDE
    mean: float = 0.4
    std: float = 0.5

    def marginal(self, time: float) -> tuple[float, float]:
        """Mean and standard deviation of x_t."""
        signal, noise = float(self.sde.signal(time)), float(self.sde.noise(time))
        mu = float(self.sde.mu)
        centre = mu + signal * (self.mean - mu)
        return centre, ((signal * self.std) ** 2 + noise**2) ** 0.5

    def denoise(self, noisy: Tensor, time: float) -> Tensor:
        """E[x_0 | x_t], exactly."""
        centre, spread = self.marginal(time)
        gain = float(self.sde.signal(time)) * self.std**2 / spread**2
        return self.mean + gain * (noisy - centre)

    def flow(self, x: Tensor, start: float, stop: float) -> Tensor:
        """The probability flow of a Gaussian keeps every point at its quantile."""
        (here, wide), (there, narrow) = self.marginal(start), self.marginal(stop)
        return there + (x - here) * (narrow / wide)

    def law(self, solver: Solver, times: Tensor) -> tuple[float, float]:
        """Mean and standard deviation of the solver's result, exactly.

        The result is affine in the start and in each step's noise: one sample of the batch for each.
        """
        start, spread = self.marginal(float(times[0]))
        x = torch.zeros(len(times) + 1, dtype=torch.float64) + start
        x[1] += spread

        def noise(step: int) -> Tensor:
            return torch.nn.functional.one_hot(torch.tensor(step + 2), len(x)).double()

        result = solver(self.denoise, x, times, self.sde, noise)
        base = result[0]
        return float(base), float(((result[1:] - base) ** 2).sum().sqrt())


@pytest.fixture
def gaussian() -> type[Gaussian]:
    return Gaussian
