"""What a trained denoiser knows of the bands that a level's conditional mean lacks."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ultrares.diffusion import VP, V, denoiser, log_sigmas
from ultrares.methods.band_groups import by_band_groups
from ultrares.methods.residual_bands import ResidualBands, guide_of
from ultrares.nets.denoiser_unet import DenoiserUNet
from ultrares.nets.wavelet_residual import context_vector
from ultrares.types import Denoiser


@dataclass(frozen=True)
class BandPrior:
    """A denoiser of standardised residual bands, and the noise levels it is best sampled at.

    The process is variance preserving in the residual, which makes it mean-reverting in the bands
    themselves, with the level's conditional mean as the mean that they revert to (science of IR-SDE).

    Attributes:
        net: Predicts the velocity of three image bands' twelve wavelet bands.
        bands: Scale of the residual.
        sigma_start: Ratio of noise to signal that sampling starts from.
        sigma_end: Ratio of the last call, whose clean estimate is the sample.
        eta: Share of the ancestral noise that each step puts back; 0 is the probability flow.
        steps: Denoiser calls when the caller does not say.
        draw_steps: As many for each of several draws, whose mean and spread bear a coarser sampling; None for
            ``steps``.
        gain: Factor on a sample's residual. A few steps leave samples smoother than the truth; this was
            chosen on training imagery so that they are as sharp.
        autocast: Whether to convolve in bfloat16.
    """

    net: DenoiserUNet
    bands: ResidualBands
    sigma_start: float = 3.0
    sigma_end: float = 0.1
    eta: float = 0.7
    steps: int = 4
    draw_steps: int | None = None
    gain: float = 1.0
    autocast: bool = False

    def times(self, sde: VP, steps: int) -> Tensor:
        """Falling times of ``steps`` denoiser calls, ending in 0, shape (steps + 1,)."""
        return sde.time(log_sigmas(self.sigma_start, self.sigma_end, steps))

    def denoise(self, image: Tensor, mean: Tensor, sde: VP, *, mtf: float, depth: int) -> Denoiser:
        """Bind the net to a level's image (1, C, h, w) and its mean (1, C, 2 * h, 2 * w)."""
        guide = guide_of(image, mean)
        size = self.net.head.out_channels // 4

        def network(noisy: Tensor, times: Tensor) -> Tensor:
            log_sigma = sde.sigma(float(times[0])).log().float()

            def call(parts: list[Tensor]) -> Tensor:
                state, known = parts
                # One row for all, so that a draw does not depend on how many are drawn with it.
                context = context_vector(1, mtf=mtf, depth=depth).to(state)
                state = state.contiguous(memory_format=torch.channels_last)
                with torch.autocast(state.device.type, torch.bfloat16, enabled=self.autocast):
                    velocity = self.net(state, known, log_sigma.to(state)[None], context)
                return velocity.float()

            return by_band_groups([noisy, guide], image.shape[1], size, call)

        return denoiser(network, sde, V)
