"""The way back from noise to signal: one plain function per solver, all of one shape.

Every solver is called as ``solver(denoise, x, times, sde, noise, project=None)``. ``times`` fall from
where ``x`` is to where the result shall be; a step that reaches 0 returns the clean estimate itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from ultrares.diffusion.guidance import Project
from ultrares.diffusion.sde import SDE
from ultrares.types import Denoiser, NoiseSource


class Solver(Protocol):
    """What all solvers have in common."""

    def __call__(
        self,
        denoise: Denoiser,
        x: Tensor,
        times: Tensor,
        sde: SDE,
        noise: NoiseSource,
        *,
        project: Project | None = None,
    ) -> Tensor:
        """Carry ``x`` from the first of ``times`` to the last.

        Args:
            denoise: Best guess of the clean signal, given the state and its time.
            x: The state at ``times[0]``.
            times: Falling times of the SDE's clock, shape (steps + 1,).
            sde: The forward process.
            noise: Standard normal numbers of the state's shape for each step index from 0.
            project: Applied to the state after every step, with the time it has reached.
        """


class Step(NamedTuple):
    """One step of a solver: from a time to an earlier one, with the levels at both (0-d tensors)."""

    number: int
    time: float
    reached: float
    signal: Tensor
    noise: Tensor
    next_signal: Tensor
    next_noise: Tensor


class Posterior(NamedTuple):
    """q(x_s | x_t, x_0) for s < t: its mean is mu + state (x_t - mu) + clean (x_0 - mu)."""

    state: Tensor
    clean: Tensor
    std: Tensor


def posterior(signal: Tensor, noise: Tensor, next_signal: Tensor, next_noise: Tensor) -> Posterior:
    """Where an earlier state lies, given the present one and the clean signal.

    For the VP process this is the DDPM's posterior (Ho et al. 2020, Eq. 7), for the mean-reverting
    one the optimal reverse state of the IR-SDE (Luo et al. 2023, Proposition 3.2).

    Args:
        signal: Signal level at the present time.
        noise: Noise level at the present time, positive.
        next_signal: Signal level at the earlier time.
        next_noise: Noise level at the earlier time.
    """
    kept = signal / next_signal
    ratio = (next_noise / noise) ** 2 * kept
    fresh = (1 - ratio * kept).clamp(min=0)
    return Posterior(ratio, next_signal * fresh, next_noise * torch.sqrt(fresh))


def reverse_euler(
    denoise: Denoiser,
    x: Tensor,
    times: Tensor,
    sde: SDE,
    noise: NoiseSource,
    *,
    project: Project | None = None,
) -> Tensor:
    """Integrate the reverse-time SDE with Euler-Maruyama steps (Song et al. 2021, Eq. 6)."""
    project = project or _unchanged
    for step in _steps(sde, times):
        clean = denoise(x, step.time)
        if step.reached == 0:
            x = clean
        else:
            length = step.time - step.reached
            spread = sde.diffusion(step.time)
            score = (sde.mean(clean, step.time) - x) / step.noise**2
            x = x + (spread**2 * score - sde.drift(x, step.time)) * length
            x = x + spread * length**0.5 * noise(step.number)
        x = project(x, step.reached)
    return x


def ddim(
    denoise: Denoiser,
    x: Tensor,
    times: Tensor,
    sde: SDE,
    noise: NoiseSource,
    *,
    eta: float = 0.0,
    project: Project | None = None,
) -> Tensor:
    """Keep the estimated noise and forget part of it (Song et al. 2021, DDIM, Eq. 12 and 16).

    ``eta`` is the share of the posterior's standard deviation that is drawn anew: 0 follows the
    probability flow and asks for no noise, 1 is the ancestral step.
    """
    project = project or _unchanged
    for step in _steps(sde, times):
        clean = denoise(x, step.time)
        if step.reached == 0:
            x = clean
        else:
            fresh = eta * posterior(*step[3:]).std
            x = _bridge(sde, x, clean, step, torch.sqrt(step.next_noise**2 - fresh**2))
            if eta > 0:
                x = x + fresh * noise(step.number)
        x = project(x, step.reached)
    return x


def ancestral(
    denoise: Denoiser,
    x: Tensor,
    times: Tensor,
    sde: SDE,
    noise: NoiseSource,
    *,
    project: Project | None = None,
) -> Tensor:
    """Draw each state from its posterior given the clean estimate (Ho et al. 2020, Algorithm 2)."""
    return ddim(denoise, x, times, sde, noise, eta=1.0, project=project)


def ir_sde_posterior(
    denoise: Denoiser,
    x: Tensor,
    times: Tensor,
    sde: SDE,
    noise: NoiseSource,
    *,
    project: Project | None = None,
) -> Tensor:
    """Posterior sampling of the IR-SDE: the ancestral step, which is optimal there too.

    The IR-SDE's own formula is the DDPM's in the coordinates (x - mu) / lam (a test holds it to that).
    """
    return ancestral(denoise, x, times, sde, noise, project=project)


def dpmpp_2m(
    denoise: Denoiser,
    x: Tensor,
    times: Tensor,
    sde: SDE,
    noise: NoiseSource,  # noqa: ARG001  all solvers are called alike
    *,
    project: Project | None = None,
) -> Tensor:
    """Follow the probability flow with DPM-Solver++ 2M (Lu et al. 2022, Algorithm 2).

    Each step is DDIM's, from a clean estimate extrapolated in ln(signal / noise) to its middle.
    """
    project = project or _unchanged
    previous, gain = x, torch.inf
    for step in _steps(sde, times):
        clean = denoise(x, step.time)
        if step.reached == 0:
            x = clean
        else:
            next_gain = _log_snr(step.next_signal, step.next_noise)
            here = _log_snr(step.signal, step.noise)
            lead = (next_gain - here) / (2 * (here - gain)) if step.number else 0.0
            ahead = clean + lead * (clean - previous)
            x = _bridge(sde, x, ahead, step, step.next_noise)
            previous, gain = clean, here
        x = project(x, step.reached)
    return x


def _steps(sde: SDE, times: Tensor) -> Iterator[Step]:
    """The steps between neighbouring times."""
    times = times.detach().double().cpu()
    assert bool((times.diff() < 0).all()), "times must fall"
    signal, noise = sde.signal(times), sde.noise(times)
    clock = times.tolist()
    for i in range(len(clock) - 1):
        levels = (signal[i], noise[i], signal[i + 1], noise[i + 1])
        yield Step(i, clock[i], clock[i + 1], *levels)


def _bridge(sde: SDE, x: Tensor, clean: Tensor, step: Step, noise: Tensor) -> Tensor:
    """The earlier state with this clean signal and ``noise`` of the noise that ``x`` shows."""
    residual = (x - sde.mean(clean, step.time)) / step.noise
    return sde.mean(clean, step.reached) + noise * residual


def _log_snr(signal: Tensor, noise: Tensor) -> float:
    return float(torch.log(signal / noise))


def _unchanged(x: Tensor, time: float) -> Tensor:  # noqa: ARG001  a Project that does nothing
    return x
