"""What a denoising network is trained to minimise, and the noise levels it is trained at."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from ultrares.diffusion.denoiser import Network, Prediction, estimate_clean
from ultrares.diffusion.sde import SDE
from ultrares.diffusion.solvers import posterior

Weight = Callable[[Tensor, Tensor], Tensor]
"""Weight of the clean estimate's squared error, given signal and noise in standard coordinates."""


def edm_weight(signal: Tensor, noise: Tensor) -> Tensor:
    """(sigma^2 + 1) / sigma^2 with sigma = noise / signal: EDM's weight for unit data.

    With it the loss equals the plain loss of a v-predictor (Karras et al. 2022, Table 1).
    """
    return 1 + (signal / noise) ** 2


def denoising_loss(
    network: Network,
    clean: Tensor,
    times: Tensor,
    normal: Tensor,
    sde: SDE,
    prediction: Prediction,
    *,
    weight: Weight | None = None,
    error: Callable[[Tensor, Tensor], Tensor] = functional.mse_loss,
) -> Tensor:
    """Denoising score matching for one batch.

    Args:
        network: The network in training.
        clean: Clean signals x_0, shape (B, ...).
        times: One time per sample, shape (B,), positive.
        normal: Standard normal noise of the shape of ``clean``.
        sde: The forward process; its ``mu`` belongs to this batch.
        prediction: What the network predicts.
        weight: None for the plain squared error of the prediction, else the weight of the squared
            error of the clean estimate; both in standard coordinates (x - mu) / lam.
        error: What is averaged where there is no weight; SR3 takes the absolute error.

    Returns:
        The mean over batch and elements, 0-d.
    """
    at = _per_sample(times, clean)
    noisy = sde.perturb(clean, at, normal)
    output = network(noisy, times)
    signal, noise = sde.signal(at).to(clean), (sde.noise(at) / sde.lam).to(clean)
    if weight is None:
        truth = prediction.target((clean - sde.mu) / sde.lam, normal, signal, noise)
        return error(output, truth)
    missed = (estimate_clean(output, noisy, at, sde, prediction) - clean) / sde.lam
    return (weight(signal, noise) * missed**2).mean()


def ir_sde_loss(
    network: Network,
    clean: Tensor,
    times: Tensor,
    normal: Tensor,
    sde: SDE,
    prediction: Prediction,
) -> Tensor:
    """The IR-SDE's maximum-likelihood objective: the L1 distance of the means of x_{t-1}.

    The reverse Euler step of length 1 that the network proposes is compared with the mean of
    q(x_{t-1} | x_t, x_0) (Luo et al. 2023, Eq. 14).

    Args:
        network: The network in training.
        clean: Clean signals x_0, shape (B, ...).
        times: One time per sample, shape (B,), at least 1, of a clock with unit steps.
        normal: Standard normal noise of the shape of ``clean``.
        sde: The forward process; its ``mu`` belongs to this batch.
        prediction: What the network predicts; the paper's is ``EPS``.

    Returns:
        The mean over batch and elements, 0-d.
    """
    at = _per_sample(times, clean)
    noisy = sde.perturb(clean, at, normal)
    estimate = estimate_clean(network(noisy, times), noisy, at, sde, prediction)
    score = (sde.mean(estimate, at) - noisy) / (sde.noise(at) ** 2).to(clean)
    spread = (sde.diffusion(at) ** 2).to(clean)
    proposed = noisy + spread * score - sde.drift(noisy, at)
    past = posterior(sde.signal(at), sde.noise(at), sde.signal(at - 1), sde.noise(at - 1))
    best = past.state.to(clean) * (noisy - sde.mu) + past.clean.to(clean) * (clean - sde.mu)
    return functional.l1_loss(proposed, sde.mu + best)


def lognormal_sigmas(
    count: int,
    generator: torch.Generator,
    *,
    mean: float = -0.3,
    std: float = 1.0,
    low: float = 0.02,
    high: float = 5.0,
) -> Tensor:
    """Draw noise-to-signal ratios for training, ln sigma ~ N(mean, std^2), clipped.

    One is drawn from each of ``count`` equally likely strata, in random order, so that every batch
    covers the range. ``sde.time`` turns them into times.

    Returns:
        Shape (count,), float64, in [``low``, ``high``], on the generator's device.
    """
    device = generator.device
    jitter = torch.rand(count, generator=generator, dtype=torch.float64, device=device)
    strata = torch.randperm(count, generator=generator, device=device)
    normal = torch.special.ndtri((strata + jitter) / count)
    return torch.exp(mean + std * normal).clamp(low, high)


def _per_sample(times: Tensor, like: Tensor) -> Tensor:
    """Times (B,) as (B, 1, ...), to broadcast against ``like``."""
    return times.double().reshape(-1, *[1] * (like.ndim - 1))
