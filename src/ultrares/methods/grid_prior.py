"""What a neural operator's image lacks, drawn by diffusion: in wavelet bands, or in pixels as in the paper."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from einops import rearrange
from torch import Tensor, nn

from ultrares.diffusion import (
    EPS,
    VP,
    Prediction,
    V,
    ddim,
    denoiser,
    linear_betas,
    log_sigmas,
    uniform_times,
)
from ultrares.methods.residual_bands import ResidualBands, scaled_bands
from ultrares.methods.sampling import START_STEP
from ultrares.nets.denoiser_unet import DenoiserUNet
from ultrares.nets.sr3_unet import SR3UNet
from ultrares.types import NoiseSource

STEPS = 2000
SDE = VP.discrete(linear_betas(STEPS, 1e-6, 1e-2))
"""The paper's schedule; whole times are its steps."""

OCTAVES_PER_KNOT = 0.5
"""Distance of the scales that the residual's size is known at."""

NoiseOn = Callable[[int, int], NoiseSource]
"""The noise of a cell's output pixels: called with a number of bands, and with the side of the blocks of
output pixels that share a number."""


@dataclass(frozen=True)
class Guided:
    """What a draw starts from.

    Attributes:
        image: The operator's image, (B, 3, h, w), in [0, 1].
        values: The operator's last values, (B, h * w, width).
        scale: Output pixels per input pixel.
        mtf: Modulation transfer at Nyquist of the sensor.
    """

    image: Tensor
    values: Tensor
    scale: float
    mtf: float


class GridPrior(Protocol):
    """A trained denoiser that an operator guides."""

    @property
    def steps(self) -> int:
        """Denoiser calls when the caller does not say."""

    @property
    def multiple_of(self) -> int:
        """What sides and places of its images must be multiples of."""

    def draw(self, given: Guided, noise: NoiseOn, steps: int | None, *, autocast: bool) -> Tensor:
        """One sample for each image, (B, 3, h, w)."""


@dataclass(frozen=True)
class ScaledStds:
    """Standard deviations of the residual's bands, which grow with the scale.

    Attributes:
        knots: For scales 1, 2^0.5, 2, ...: those of A, V, H and D.
    """

    knots: tuple[tuple[float, float, float, float], ...]

    def at(self, scale: float) -> ResidualBands:
        """The residual's scale, interpolated in the logarithm; constant beyond the last knot."""
        place = min(math.log2(scale) / OCTAVES_PER_KNOT, len(self.knots) - 1)
        first = min(int(place), len(self.knots) - 2)
        share = place - first
        a, v, h, d = (
            low ** (1 - share) * high**share
            for low, high in zip(self.knots[first], self.knots[first + 1], strict=True)
        )
        return ResidualBands((a, v, h, d))


@dataclass(frozen=True)
class BandGridPrior:
    """A denoiser of the residual around the operator's image, in standardised wavelet bands.

    Attributes:
        net: Predicts from noised standardised bands, guided.
        features: Maps the operator's values to the guide's further channels; None for the image alone,
            as the paper's released code does.
        stds: Scale of the residual.
        prediction: What ``net`` was trained to say.
        sigma_start: Ratio of noise to signal that sampling starts from.
        sigma_end: Ratio of the last call, whose clean estimate is the sample.
        eta: Share of the ancestral noise that each step puts back.
        steps: Denoiser calls when the caller does not say.
    """

    net: DenoiserUNet
    features: nn.Linear | None
    stds: ScaledStds
    prediction: Prediction = V
    sigma_start: float = 3.0
    sigma_end: float = 0.1
    eta: float = 0.7
    steps: int = 4

    multiple_of = 4

    def times(self, steps: int) -> Tensor:
        """Falling times of ``steps`` denoiser calls, ending in 0, shape (steps + 1,)."""
        return SDE.time(log_sigmas(self.sigma_start, self.sigma_end, steps))

    def guide(self, given: Guided) -> Tensor:
        """What the denoiser is told, (B, G, h / 2, w / 2); h and w are even."""
        told = scaled_bands(given.image)
        if self.features is None:
            return told
        maps = rearrange(
            self.features(given.values), "b (h w) c -> b c h w", h=given.image.shape[-2]
        )
        return torch.cat([told, nn.functional.pixel_unshuffle(maps, 2).to(told.dtype)], dim=1)

    def draw(self, given: Guided, noise: NoiseOn, steps: int | None, *, autocast: bool) -> Tensor:
        """Reverse diffusion of the bands, from the noise of the places of their blocks."""
        like = given.image
        with torch.autocast(like.device.type, torch.bfloat16, enabled=autocast):
            guide = self.guide(given).float().contiguous(memory_format=torch.channels_last)
        context = scale_context(given.mtf, given.scale).to(like)

        def network(noisy: Tensor, times: Tensor) -> Tensor:
            log_sigma = SDE.sigma(float(times[0])).log().float().to(noisy)[None]
            noisy = noisy.contiguous(memory_format=torch.channels_last)
            with torch.autocast(noisy.device.type, torch.bfloat16, enabled=autocast):
                said = self.net(noisy, guide, log_sigma, context)
            return said.float()

        source = noise(4 * like.shape[1], 2)
        residual = ddim(
            denoiser(network, SDE, self.prediction),
            source(START_STEP),
            self.times(steps or self.steps),
            SDE,
            source,
            eta=self.eta,
        )
        return self.stds.at(given.scale).decode(residual, like)


@dataclass(frozen=True)
class PixelGridPrior:
    """The paper's: a U-Net that is shown the operator's image beside the noisy one, in pixels of [-1, 1].

    It normalises over and attends to whole images, so cells of a scene do not quite agree.

    Attributes:
        net: Predicts the noise, told sqrt(alpha-bar).
        steps: Steps of DDIM when the caller does not say.
    """

    net: SR3UNet
    steps: int = 50

    @property
    def multiple_of(self) -> int:
        """What the U-Net halves away."""
        return self.net.multiple_of

    def draw(self, given: Guided, noise: NoiseOn, steps: int | None, *, autocast: bool) -> Tensor:
        """DDIM with clipped estimates, in evenly spaced steps from the end of the schedule."""
        condition = 2 * given.image - 1

        def network(noisy: Tensor, times: Tensor) -> Tensor:
            level = SDE.signal(times).to(noisy)
            with torch.autocast(noisy.device.type, torch.bfloat16, enabled=autocast):
                said = self.net(noisy, condition, level, 1)
            return said.float()

        source = noise(given.image.shape[1], 1)
        drawn = ddim(
            denoiser(network, SDE, EPS, clip=(-1.0, 1.0)),
            source(START_STEP),
            uniform_times(SDE.end, steps or self.steps),
            SDE,
            source,
        )
        return (drawn + 1) / 2


def scale_context(mtf: float, scale: float) -> Tensor:
    """The two scalars the denoiser is told beside the noise level, shape (1, 2)."""
    return torch.tensor([[2 * mtf - 1, math.log2(scale) / 3]])
