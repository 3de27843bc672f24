"""How fast a forward process forgets its clean signal: -ln signal(t) as a function of time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

Time = float | Tensor
"""A point of the process's clock, or a tensor of them."""


class Decay(Protocol):
    """A rate theta(t) > 0, its integral Theta(t) = -ln signal(t), and the way back.

    All methods take a number or a tensor and return float64 tensors of its shape.
    """

    @property
    def end(self) -> float:
        """The last time of the clock, which starts at 0."""

    def rate(self, time: Time) -> Tensor:
        """theta(t), half the beta(t) of a variance-preserving process."""

    def integral(self, time: Time) -> Tensor:
        """Theta(t), 0 at time 0 and rising."""

    def time(self, integral: Time) -> Tensor:
        """The time at which Theta has this value."""


@dataclass(frozen=True)
class LinearDecay:
    """beta(t) rising linearly over t in [0, 1] (Song et al. 2021, Eq. 32)."""

    beta_min: float = 0.1
    beta_max: float = 20.0
    end: float = 1.0

    def rate(self, time: Time) -> Tensor:
        """Half of beta(t)."""
        return (self.beta_min + _double(time) * (self.beta_max - self.beta_min)) / 2

    def integral(self, time: Time) -> Tensor:
        """Half the integral of beta."""
        t = _double(time)
        return t * (self.beta_min + t * (self.beta_max - self.beta_min) / 2) / 2

    def time(self, integral: Time) -> Tensor:
        """The positive root of the quadratic, in the form that does not cancel."""
        theta = _double(integral)
        root = torch.sqrt(self.beta_min**2 + 4 * (self.beta_max - self.beta_min) * theta)
        return 4 * theta / (self.beta_min + root)


@dataclass(frozen=True)
class CosineDecay:
    """alpha-bar(t) a squared cosine (Nichol and Dhariwal 2021), cut before it reaches zero.

    The default ``end`` leaves a noise-to-signal ratio of 119.
    """

    s: float = 0.008
    end: float = 0.9946

    def rate(self, time: Time) -> Tensor:
        """The tangent of the phase, times its speed."""
        return torch.tan(self._phase(time)) * self._speed

    def integral(self, time: Time) -> Tensor:
        """The logarithm of the cosine, relative to time 0."""
        return torch.log(torch.cos(self._phase(0.0)) / torch.cos(self._phase(time)))

    def time(self, integral: Time) -> Tensor:
        """The phase whose cosine has decayed this far, turned into time."""
        phase = torch.acos(torch.cos(self._phase(0.0)) * torch.exp(-_double(integral)))
        return phase / self._speed - self.s

    def _phase(self, time: Time) -> Tensor:
        return (_double(time) + self.s) * self._speed

    @property
    def _speed(self) -> float:
        return math.pi / (2 * (1 + self.s))


@dataclass(frozen=True, eq=False)
class TableDecay:
    """A discrete schedule: theta is constant within each unit step of a clock from 0 to T.

    Attributes:
        increments: What Theta gains in the steps 1 .. T, shape (T,), positive.
    """

    increments: Tensor

    @classmethod
    def from_betas(cls, betas: Tensor) -> TableDecay:
        """The schedule of a DDPM with these variances: alpha-bar(t) is exact at whole t."""
        return cls(-torch.log1p(-betas.double()) / 2)

    @property
    def end(self) -> float:
        """The number of steps."""
        return float(len(self.increments))

    def rate(self, time: Time) -> Tensor:
        """The increment of the step that ends at or after ``time``."""
        t = _double(time)
        return self._table(t)[self._step(torch.ceil(t) - 1)]

    def integral(self, time: Time) -> Tensor:
        """The sum of the increments so far, linear within a step."""
        t = _double(time)
        step = self._step(torch.floor(t))
        return self._sums(t)[step] + (t - step) * self._table(t)[step]

    def time(self, integral: Time) -> Tensor:
        """Linear interpolation in the table of sums."""
        theta = _double(integral)
        sums = self._sums(theta)
        step = self._step(torch.searchsorted(sums, theta.contiguous(), right=True) - 1)
        return step + (theta - sums[step]) / self._table(theta)[step]

    def _step(self, index: Tensor) -> Tensor:
        return index.long().clamp(0, len(self.increments) - 1)

    def _table(self, like: Tensor) -> Tensor:
        return self.increments.to(like)

    def _sums(self, like: Tensor) -> Tensor:
        sums = self._table(like).cumsum(0)
        return torch.cat((sums.new_zeros(1), sums))


def _double(value: Time) -> Tensor:
    return torch.as_tensor(value, dtype=torch.float64)
