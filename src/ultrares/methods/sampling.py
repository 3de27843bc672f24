"""Samples around a conditional mean: projected reverse diffusion, and the noises of Eq. 11 and 17."""

from __future__ import annotations

import torch
from torch import Tensor

from ultrares.diffusion import VP, NoiseField, ddim, projection
from ultrares.methods.band_prior import BandPrior
from ultrares.methods.place import Place, Solve
from ultrares.types import NoiseSource, Window
from ultrares.wavelet import Bands, lowpass, merge, split

START_STEP, INPUT_NOISE_STEP, OUTPUT_NOISE_STEP = 2**24, 2**24 + 1, 2**24 + 2
"""Step indices of the noise field for the initial state and for r and s, beyond every solver's."""


def diffuse(
    prior: BandPrior, sde: VP, image: Tensor, mean: Tensor, place: Place, how: Solve
) -> Tensor:
    """Sample all four bands by reverse diffusion of their residual around ``mean`` (Eq. 7 to 9).

    After each step the low-pass part of A is projected on that of the condition, which is the mean.

    Args:
        prior: The denoiser of the residual.
        sde: The process of the residual.
        image: The level's input, (1, C, h, w) or (N, C, h, w) for N draws, in [0, 1].
        mean: Its conditional mean, of as many images, (., C, 2 * h, 2 * w).
        place: Where it stands.
        how: Seed, draws, steps and low-pass level.

    Returns:
        One sample per draw, (N, C, 2 * h, 2 * w).
    """
    count, bands = how.draws, image.shape[1]
    image, mean = (each.expand(count, -1, -1, -1) for each in (image, mean))
    noise = _noise_of_draws(image, place, how)
    start = noise(START_STEP)

    def low_pass_of_approx(state: Tensor) -> Tensor:
        known = torch.zeros_like(state)
        known[:, :bands] = lowpass(state[:, :bands], how.low_pass)
        return known

    # The condition tau is the mean itself, so its residual is zero (Eq. 9 with b_t from zero).
    project = projection(torch.zeros_like(start), low_pass_of_approx, sde, noise)
    residual = ddim(
        prior.denoise(image, mean, sde, mtf=place.mtf, depth=place.depth),
        sde.prior(start),
        prior.times(sde, how.steps or prior.steps),
        sde,
        noise,
        eta=prior.eta,
        project=project,
    )
    return prior.bands.decode(prior.gain * residual, mean)


def noisy_details(
    image: Tensor, std: float, place: Place, how: Solve, *, step: int, stride: int
) -> Tensor:
    """The image with white noise on its V, H and D.

    Args:
        image: Shape (B, C, 2 * h, 2 * w).
        std: Standard deviation of the noise.
        place: Where the level's input stands.
        how: Seed and draws.
        step: Which of the two noises.
        stride: Pixels of the level's input per pixel of the bands.
    """
    bands = split(image)
    count, rows, cols = bands.approx.shape[1:]
    window = Window(place.origin.row // stride, place.origin.col // stride, rows, cols)
    fields = [
        NoiseField(how.seed).field(window, draw=draw, level=place.level, step=step, bands=3 * count)
        for draw in range(how.draws)
    ]
    noise = torch.stack(fields).to(image).chunk(3, dim=1)
    details = (band + std * part for band, part in zip(bands[1:], noise, strict=True))
    approx = bands.approx.expand(how.draws, -1, -1, -1)
    return merge(Bands(approx, *details), (image.shape[-2], image.shape[-1]))


def _noise_of_draws(image: Tensor, place: Place, how: Solve) -> NoiseSource:
    """The noise of all draws side by side, (N, 4 * C, h, w)."""
    window = Window(*place.origin, *image.shape[-2:])
    sources = [
        NoiseField(how.seed).source(
            window,
            draw=draw,
            level=place.level,
            bands=4 * image.shape[1],
            place=lambda field: field.to(image),
        )
        for draw in range(how.draws)
    ]
    return lambda step: torch.cat([source(step) for source in sources])
