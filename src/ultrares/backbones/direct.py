"""What the systems without a diffusion process share: one enlargement, one call, one check."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from ultrares.backbones.enlargement import ENLARGEMENT_REACH
from ultrares.backbones.fit import refuse_misfit, whole_blocks
from ultrares.backbones.noise import fixed_noise
from ultrares.backbones.system import SystemSettings
from ultrares.types import NoiseAt, SizeRule


class DirectBackbone(ABC):
    """Answers in a call of its network, not in a walk of many.

    Args:
        net: The trained network.
        settings: What it was trained for.
        name: How the backbone is called in models and tables.
        autocast: Whether to convolve in bfloat16; enlargement and sums stay in float32.
    """

    block = 1
    """What the sides of the result, and its origin, have to be multiples of."""

    def __init__(
        self, net: nn.Module, settings: SystemSettings, *, name: str, autocast: bool = False
    ) -> None:
        self.net: Any = net
        self.name = name
        self.autocast = autocast
        self.scales = settings.scales
        self.bands: int | None = settings.bands

    @property
    def stochastic(self) -> bool:
        """Whether two calls with different noise differ."""
        return False

    @property
    def size_rule(self) -> SizeRule:
        """What makes the result's sides and origins whole blocks."""
        return whole_blocks(self.block, self.scales)

    @property
    def halo(self) -> int | None:
        """Pixels of context that a result depends on, for the scale that needs most."""
        return max(ENLARGEMENT_REACH, *(self.net.reach(scale) for scale in self.scales))

    @abstractmethod
    def restore(self, image: Tensor, scale: int, noise: NoiseAt) -> Tensor:
        """The finer image, (B, C, scale * h, scale * w), of one that fits."""

    def __call__(
        self,
        image: Tensor,
        *,
        scale: int = 2,
        mtf: float = 0.5,
        depth: int = 0,
        noise: NoiseAt | None = None,
    ) -> Tensor:
        """Return ``image`` (B, C, h, w) in [0, 1] ``scale`` times finer.

        Raises:
            ModelError: The system was not trained for this scale, or the sides are not its multiples.
        """
        del mtf, depth
        refuse_misfit(self, image, scale)
        return self.restore(image, scale, noise or fixed_noise(image))

    def convolving(self, image: Tensor) -> torch.autocast:
        """The precision that the network is called in."""
        return torch.autocast(image.device.type, torch.bfloat16, enabled=self.autocast)
