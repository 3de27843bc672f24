"""The loss of ESRGAN-DP: pixels, two perceptual distances in balance, and a relativistic discriminator."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor
from torch.nn import functional as F

from ultrares.data.scale_pairs import ScalePair
from ultrares.nets.discriminator import Discriminator
from ultrares.training.adversarial import SMALL_RATE, relativistic_game
from ultrares.training.execution import Companion
from ultrares.training.perceptual import dual_features, dual_perceptual_loss
from ultrares.training.stages import SystemStage
from ultrares.types import Backbone


@dataclass(frozen=True)
class Weights:
    """What each term counts, and how wide the discriminator is."""

    pixel: float
    perceptual: float
    adversarial: float
    discriminator: int


WEIGHTS = {
    "paper": Weights(pixel=0.01, perceptual=1.0, adversarial=0.005, discriminator=64),
    # It starts from nothing rather than from a network trained by pixels, so pixels lead.
    "small": Weights(pixel=1.0, perceptual=0.03, adversarial=0.001, discriminator=16),
}


class ESRGANDPObjective(Companion):
    """0.01 L1 + L_dp + 0.005 L_Ra, and the discriminator's own loss beside it.

    Its only weights are the discriminator's, which are trained along and not kept.
    """

    def __init__(self, stage: SystemStage) -> None:
        super().__init__()
        self.relative_rate = SMALL_RATE if stage.preset == "small" else 1.0
        self.weights = WEIGHTS[stage.preset]
        self.discriminator = Discriminator(
            bands=stage.resolved.bands,
            width=self.weights.discriminator,
            spectral=stage.preset == "small",
        )
        self.dual = dual_features(stage.features)
        self.seen_through = " and ".join(dict.fromkeys(features.name for features in self.dual))

    def forward(
        self, backbone: Backbone, pair: ScalePair, rng: np.random.Generator
    ) -> tuple[Tensor, dict[str, float]]:
        """The loss of one batch, and its terms."""
        del rng
        estimate = backbone(pair.image, scale=pair.scale)
        pixel = F.l1_loss(estimate, pair.target)
        first, second = (each.distance(estimate, pair.target) for each in self.dual)
        perceptual = dual_perceptual_loss(first, second)
        game = relativistic_game(self.discriminator, pair.target, estimate)
        total = (
            self.weights.pixel * pixel
            + self.weights.perceptual * perceptual
            + self.weights.adversarial * game.generator
        )
        return total + game.discriminator, {
            f"L1, x{pair.scale}": pixel.item(),
            f"perceptual by {self.seen_through}": perceptual.item(),
            "generator": game.generator.item(),
            "discriminator": game.discriminator.item(),
        }
