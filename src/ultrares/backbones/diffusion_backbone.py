"""What the diffusion systems share: condition on the enlargement, draw the start, walk back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from ultrares.backbones.diffusion_settings import MeanRevertingSettings, VPSettings
from ultrares.backbones.enlargement import ENLARGEMENT_REACH, enlarge
from ultrares.backbones.fit import refuse_misfit, whole_blocks
from ultrares.backbones.noise import fixed_noise
from ultrares.diffusion import denoiser
from ultrares.diffusion.denoiser import Network
from ultrares.nets.span import Span
from ultrares.types import NoiseAt, SizeRule

START_STEP = 2**16
"""Step of the noise that a draw starts from, beyond those of any solver."""


class DiffusionBackbone(ABC):
    """Draws the finer image by reverse diffusion, given the bicubic enlargement.

    Args:
        net: The trained network; it tells ``multiple_of``, whether it is ``local``, and what it ``reads``.
        settings: Process, schedule and sampler that it was trained for.
        name: How the backbone is called in models and tables.
        autocast: Whether to convolve in bfloat16; the process stays in float32.
    """

    stochastic = True

    def __init__(
        self,
        net: nn.Module,
        settings: VPSettings | MeanRevertingSettings,
        *,
        name: str,
        autocast: bool = False,
    ) -> None:
        self.net: Any = net
        self.settings = settings
        self.name = name
        self.autocast = autocast
        self.scales = settings.scales
        self.bands: int | None = settings.bands

    @property
    def size_rule(self) -> SizeRule:
        """What makes the fine grid's sides and origins whole blocks of the network."""
        return whole_blocks(self.net.multiple_of, self.scales)

    @property
    def halo(self) -> int | None:
        """Pixels that the whole chain of network calls depends on; None for a network that is not local."""
        if not self.net.local:
            return None
        return max(self._reach(scale) for scale in self.scales)

    def _reach(self, scale: int) -> int:
        """Pixels that a block of the image reads around itself, over all calls."""
        block = self.size_rule.multiple_of
        span = Span(0, block * scale - 1)
        for _ in range(self.settings.steps - 1):
            span = self.net.reads(span)
        return self.seen(span, scale).beyond(block)

    def seen(self, span: Span, scale: int) -> Span:
        """The pixels of the image that one call reads for a span of the fine grid."""
        return self.net.reads(span).before_shuffle(scale).read(kernel=2 * ENLARGEMENT_REACH + 1)

    def enlarge(self, image: Tensor, scale: int) -> Tensor:
        """The bicubic enlargement of an image (B, C, h, w)."""
        return enlarge(image, scale)

    def network(self, image: Tensor, enlarged: Tensor, scale: int) -> Network:
        """The network with its conditions bound, in single precision outside."""
        bound = self.bind(image, enlarged, scale)

        def predict(noisy: Tensor, times: Tensor) -> Tensor:
            with torch.autocast(image.device.type, torch.bfloat16, enabled=self.autocast):
                return bound(noisy, times.to(noisy)).float()

        return predict

    @abstractmethod
    def bind(self, image: Tensor, enlarged: Tensor, scale: int) -> Network:
        """Show the network its conditions the way it was built for."""

    def __call__(
        self,
        image: Tensor,
        *,
        scale: int = 2,
        mtf: float = 0.5,
        depth: int = 0,
        noise: NoiseAt | None = None,
    ) -> Tensor:
        """Draw the image ``scale`` times finer than ``image`` (B, C, h, w) in [0, 1].

        Raises:
            ModelError: The system was not trained for this scale, or the sides are not its multiples.
        """
        del mtf, depth
        self.check(image, scale)
        source, bands = noise or fixed_noise(image), image.shape[1]
        enlarged = self.enlarge(image, scale)
        sde = self.settings.process(enlarged)
        state = self.settings.solver(
            denoiser(
                self.network(image, enlarged, scale),
                sde,
                self.settings.prediction,
                clip=self.settings.clip,
            ),
            sde.prior(source(START_STEP, bands, scale)),
            self.settings.times(sde),
            sde,
            lambda step: source(step, bands, scale),
        )
        return self.settings.decode(state, enlarged, scale)

    def check(self, image: Tensor, scale: int) -> None:
        """Refuse what the network was not built for.

        Raises:
            ModelError: The system was not trained for this scale, or the sides are not its multiples.
        """
        refuse_misfit(self, image, scale)
