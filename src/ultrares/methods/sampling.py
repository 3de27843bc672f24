"""Samples around a conditional mean: projected reverse diffusion, and the noises of Eq. 11 and 17."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from ultrares.diffusion import VP, NoiseField, ddim, projection
from ultrares.methods.band_prior import BandPrior
from ultrares.methods.place import Place, Solve
from ultrares.types import NoiseSource, Origin, Window
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
        mean: Its conditional mean, of one or as many images, (., C, 2 * h, 2 * w).
        place: Where it stands, and where samples are wanted.
        how: Seed, draws, steps and low-pass level.

    Returns:
        One sample per draw, (N, C, 2 * h, 2 * w).
    """
    seen = place.sampled or Window(0, 0, *image.shape[-2:])
    corner = Origin(place.origin.row + seen.row, place.origin.col + seen.col)
    there = replace(place, origin=corner, sampled=None)
    samples = mean.expand(how.draws, -1, -1, -1).clone()
    # One after the other: side by side they take memory and no less time.
    for draw in range(how.draws):
        shown, around = (
            _cut(each[draw % len(each)], window)[None]
            for each, window in ((image, seen), (mean, seen.scaled(2)))
        )
        made = _sample(prior, sde, shown, around, there, how, draw)
        _cut(samples[draw], seen.scaled(2)).copy_(made[0])
    return samples


def _sample(
    prior: BandPrior, sde: VP, image: Tensor, mean: Tensor, place: Place, how: Solve, draw: int
) -> Tensor:
    """One draw, (1, C, 2 * h, 2 * w)."""
    bands = image.shape[1]
    noise, of_approx = (_noise(image, place, how.seed, draw, count) for count in (4 * bands, bands))
    start = noise(START_STEP)

    # The condition tau is the mean itself, so its residual is zero (Eq. 9 with b_t from zero).
    hold = projection(
        torch.zeros_like(start[:, :bands]), partial(lowpass, levels=how.low_pass), sde, of_approx
    )

    def project(state: Tensor, time: float) -> Tensor:
        return torch.cat([hold(state[:, :bands], time), state[:, bands:]], dim=1)

    residual = ddim(
        prior.denoise(image, mean, sde, mtf=place.mtf, depth=place.depth),
        sde.prior(start),
        prior.times(sde, how.steps or prior.steps),
        sde,
        noise,
        eta=prior.eta if how.eta is None else how.eta,
        project=project,
    )
    return prior.bands.decode(prior.gain * residual, mean)


def _cut(image: Tensor, window: Window) -> Tensor:
    """A window of an image (C, h, w), as a view."""
    row, col, height, width = window
    return image[:, row : row + height, col : col + width]


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


def _noise(image: Tensor, place: Place, seed: int, draw: int, bands: int) -> NoiseSource:
    """The noise of a draw, (1, bands, h, w)."""
    return NoiseField(seed).source(
        Window(*place.origin, *image.shape[-2:]),
        draw=draw,
        level=place.level,
        bands=bands,
        place=lambda field: field.to(image),
    )
