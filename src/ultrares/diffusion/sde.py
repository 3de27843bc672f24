"""The forward equations: how a clean signal turns into noise, and everything known about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from ultrares.diffusion.decay import CosineDecay, Decay, LinearDecay, TableDecay, Time
from ultrares.diffusion.schedule import cosine_thetas


class SDE(Protocol):
    """A linear forward process x_t = mu + signal(t) (x_0 - mu) + noise(t) e with normal e.

    Times are numbers, or tensors whose shape broadcasts against the state's.
    """

    @property
    def mu(self) -> Tensor | float:
        """Where the state's mean goes: 0, or a tensor of the state's shape."""

    @property
    def lam(self) -> float:
        """Standard deviation of the state after infinite time."""

    @property
    def end(self) -> float:
        """The last time; the clock starts at 0."""

    def signal(self, time: Time) -> Tensor:
        """What is left of the clean residual, from 1 at time 0 down; float64."""

    def noise(self, time: Time) -> Tensor:
        """Standard deviation of the marginal given the clean signal, from 0 up; float64."""

    def sigma(self, time: Time) -> Tensor:
        """The ratio noise / signal, float64."""

    def time(self, sigma: Time) -> Tensor:
        """The time at which noise / signal has this value, float64."""

    def drift(self, x: Tensor, time: Time) -> Tensor:
        """The deterministic part of dx / dt, of the shape of ``x``."""

    def diffusion(self, time: Time) -> Tensor:
        """The factor of the Wiener increment, float64."""

    def mean(self, clean: Tensor, time: Time) -> Tensor:
        """The marginal's mean given the clean signal; its standard deviation is ``noise``."""

    def perturb(self, clean: Tensor, time: Time, normal: Tensor) -> Tensor:
        """Draw from the marginal, given standard normal numbers of the shape of ``clean``."""

    def prior(self, normal: Tensor) -> Tensor:
        """Draw from the distribution that the process starts its way back from."""


class _Linear:
    """What both processes share: dx = theta (mu - x) dt + lam sqrt(2 theta) dw."""

    mu: Tensor | float
    lam: float
    decay: Decay

    @property
    def end(self) -> float:
        """The last time of the clock."""
        return self.decay.end

    def signal(self, time: Time) -> Tensor:
        """exp(-Theta)."""
        return torch.exp(-self.decay.integral(time))

    def noise(self, time: Time) -> Tensor:
        """Lam sqrt(1 - exp(-2 Theta))."""
        return self.lam * torch.sqrt(-torch.expm1(-2 * self.decay.integral(time)))

    def sigma(self, time: Time) -> Tensor:
        """Lam sqrt(exp(2 Theta) - 1)."""
        return self.lam * torch.sqrt(torch.expm1(2 * self.decay.integral(time)))

    def time(self, sigma: Time) -> Tensor:
        """The inverse of :meth:`sigma`."""
        ratio = torch.as_tensor(sigma, dtype=torch.float64) / self.lam
        found = self.decay.time(torch.log1p(ratio**2) / 2)
        # No noise is the start to the last bit: solvers ask whether they have arrived.
        return torch.where(ratio == 0, torch.zeros_like(found), found)

    def drift(self, x: Tensor, time: Time) -> Tensor:
        """Theta (mu - x)."""
        return self.decay.rate(time).to(x) * (self.mu - x)

    def diffusion(self, time: Time) -> Tensor:
        """Lam sqrt(2 theta)."""
        return self.lam * torch.sqrt(2 * self.decay.rate(time))

    def mean(self, clean: Tensor, time: Time) -> Tensor:
        """Mu + signal (x_0 - mu)."""
        return self.mu + self.signal(time).to(clean) * (clean - self.mu)

    def perturb(self, clean: Tensor, time: Time, normal: Tensor) -> Tensor:
        """The mean plus noise(t) times ``normal``."""
        return self.mean(clean, time) + self.noise(time).to(clean) * normal

    def prior(self, normal: Tensor) -> Tensor:
        """Mu + lam times ``normal``."""
        return self.mu + self.lam * normal


@dataclass(frozen=True)
class VP(_Linear):
    """The variance-preserving process, dx = -beta/2 x dt + sqrt(beta) dw, with beta = 2 theta.

    signal is sqrt(alpha-bar) and noise sqrt(1 - alpha-bar) (Ho et al. 2020, Song et al. 2021).
    """

    decay: Decay = field(default_factory=LinearDecay)
    mu: float = field(default=0.0, init=False)
    lam: float = field(default=1.0, init=False)

    @classmethod
    def linear(cls, beta_min: float = 0.1, beta_max: float = 20.0) -> VP:
        """Continuous time in [0, 1] with beta rising linearly."""
        return cls(LinearDecay(beta_min, beta_max))

    @classmethod
    def cosine(cls, s: float = 0.008) -> VP:
        """Continuous time in [0, 0.9946] with alpha-bar a squared cosine."""
        return cls(CosineDecay(s))

    @classmethod
    def discrete(cls, betas: Tensor) -> VP:
        """A clock from 0 to T; whole times t have the alpha-bar of the first t ``betas``."""
        return cls(TableDecay.from_betas(betas))


@dataclass(frozen=True, eq=False)
class MeanReverting(_Linear):
    """The IR-SDE, dx = theta (mu - x) dt + sigma dw with sigma^2 = 2 lam^2 theta.

    Its residual (x - mu) / lam is variance preserving (Luo et al. 2023, Eq. 3 to 7).

    Attributes:
        mu: Where the mean goes, of the state's shape, type and device: a degraded signal.
        lam: Standard deviation around ``mu`` in the end.
        decay: The clock; by default the cosine one with T = 100 and eps = 0.005.
    """

    mu: Tensor
    lam: float
    decay: Decay = field(default_factory=lambda: TableDecay(cosine_thetas()))

    @classmethod
    def cosine(
        cls, mu: Tensor, lam: float, *, steps: int = 100, eps: float = 0.005
    ) -> MeanReverting:
        """The IR-SDE with ``steps`` steps, after which ``eps`` of the clean residual is left."""
        return cls(mu, lam, TableDecay(cosine_thetas(steps, eps)))
