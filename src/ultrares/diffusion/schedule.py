"""Schedules as data: discrete rates of forgetting, and the grids of time a solver walks along."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def linear_betas(steps: int, start: float = 1e-4, end: float = 2e-2) -> Tensor:
    """Variances of the DDPM's forward steps, rising linearly (Ho et al. 2020).

    Returns:
        Betas of the steps 1 .. ``steps``, shape (steps,), float64.
    """
    return torch.linspace(start, end, steps, dtype=torch.float64)


def cosine_betas(steps: int, s: float = 0.008, max_beta: float = 0.999) -> Tensor:
    """Variances for which alpha-bar follows a squared cosine (Nichol and Dhariwal 2021, Eq. 17).

    Returns:
        Betas of the steps 1 .. ``steps``, at most ``max_beta``, shape (steps,), float64.
    """
    alpha_bar = _squared_cosine(steps, s)
    return (1 - alpha_bar[1:] / alpha_bar[:-1]).clamp(max=max_beta)


def cosine_thetas(steps: int = 100, eps: float = 0.005, s: float = 0.008) -> Tensor:
    """Rates of mean reversion of the IR-SDE, theta_t dt for t = 1 .. ``steps``.

    theta is one minus the squared cosine on a grid of ``steps`` + 3 points without its ends, and dt
    makes the process forget all but ``eps`` of the clean signal (Luo et al. 2023, section 4).

    Returns:
        Rates, shape (steps,), float64, whose sum is -ln ``eps``.
    """
    theta = 1 - _squared_cosine(steps + 2, s)[2:-1]
    return theta * (-math.log(eps) / theta.sum())


def uniform_times(start: float, steps: int, stop: float = 0.0) -> Tensor:
    """Times from ``start`` down to ``stop`` in equal steps, shape (steps + 1,), float64."""
    return torch.linspace(start, stop, steps + 1, dtype=torch.float64)


def log_sigmas(high: float, low: float, steps: int) -> Tensor:
    """Noise-to-signal ratios in equal factors from ``high`` to ``low``, then 0.

    ``sde.time(log_sigmas(...))`` turns them into times.

    Returns:
        Shape (steps + 1,), float64, falling; the last step leads from ``low`` to 0.
    """
    logs = torch.linspace(math.log(high), math.log(low), steps, dtype=torch.float64)
    return _with_zero(logs.exp())


def karras_sigmas(high: float, low: float, steps: int, rho: float = 7.0) -> Tensor:
    """Noise-to-signal ratios in equal steps of their ``rho``-th root, then 0.

    From Karras et al. 2022, Eq. 5.

    Returns:
        Shape (steps + 1,), float64, falling; the last step leads from ``low`` to 0.
    """
    roots = torch.linspace(high ** (1 / rho), low ** (1 / rho), steps, dtype=torch.float64)
    return _with_zero(roots**rho)


def _squared_cosine(steps: int, s: float) -> Tensor:
    """Alpha-bar at ``steps`` + 1 equidistant times from 0 to 1, one at time 0."""
    phase = (torch.linspace(0, 1, steps + 1, dtype=torch.float64) + s) / (1 + s)
    squared = torch.cos(phase * math.pi / 2) ** 2
    return squared / squared[0]


def _with_zero(sigmas: Tensor) -> Tensor:
    return torch.cat((sigmas, sigmas.new_zeros(1)))
