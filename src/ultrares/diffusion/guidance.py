"""Projection guidance: hold the known part of a sample to its observation while it forms."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from ultrares.diffusion.sde import SDE
from ultrares.types import NoiseSource

Project = Callable[[Tensor, float], Tensor]
"""A hook that solvers call after each step, with the state and the time it has reached."""

NOISE_TICKS = 2**20
"""Noise is drawn for the reached time in ticks of the end time, so the hook needs no counter."""


def projection(
    tau: Tensor,
    projector: Callable[[Tensor], Tensor],
    sde: SDE,
    noise: NoiseSource,
    stop: float = 0.1,
) -> Project:
    """Replace the projected part of the state by that of the noised condition.

    The hook computes A = (I - w P) A' + w P tau_t, where tau_t is ``tau`` noised to the time that was
    reached and w is 1 until the time falls to ``stop`` of the end, then 0. This is Eq. 8 and 9 of
    WaveDiffUR with alpha = I - w P and b = w P tau_t, after MCG (Chung et al. 2022); with a resizing
    filter as ``projector`` it is ILVR (Choi et al. 2021). Both noise the condition to the time
    *before* the step; here it is the time after it, which is the state's own.

    Args:
        tau: What the clean state should look like under the projector, of the state's shape.
        projector: A linear map P; idempotent, if the observation is to be met exactly.
        sde: The process of the state.
        noise: Called with the reached time in ``NOISE_TICKS`` of the end time. These numbers lie far
            above a solver's step indices, so one source can serve both.
        stop: Fraction of the end time from which on the state is left alone.
    """

    def project(state: Tensor, time: float) -> Tensor:
        if time <= stop * sde.end:
            return state
        observed = sde.perturb(tau, time, noise(round(time / sde.end * NOISE_TICKS)))
        return state + projector(observed - state)

    return project
