"""The loss of LE-GAN in our reading: pixels, spectra, a discriminator, and two latent codes that agree."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ultrares.data.scale_pairs import ScalePair
from ultrares.nets.discriminator import Discriminator
from ultrares.nets.latent_encoder import LatentEncoder
from ultrares.training.adversarial import (
    SMALL_RATE,
    normal_numbers,
    relativistic_game,
    without_gradient,
)
from ultrares.training.execution import Companion
from ultrares.training.stages import SystemStage
from ultrares.types import Backbone

PIXEL, SPECTRAL, ADVERSARIAL, COUPLING, DIVERGENCE = 1.0, 0.05, 0.001, 0.02, 0.01
"""What each term counts; ours, for the paper's are not known to us."""


def spectral_angle(estimate: Tensor, truth: Tensor) -> Tensor:
    """Mean over pixels of 1 - cos of the angle between the spectra of images (B, C, H, W), 0-d."""
    return (1 - F.cosine_similarity(estimate, truth, dim=1, eps=1e-6)).mean()


def coupling(encoder: LatentEncoder, estimate: Tensor, truth: Tensor) -> Tensor:
    """Mean absolute difference of the latent means of made and of real images, 0-d.

    Gradients reach the images and not the encoder, which would else agree by saying nothing.
    """
    with without_gradient(encoder):
        return F.l1_loss(encoder.encode(estimate).mean, encoder.encode(truth).mean)


def encoder_loss(encoder: LatentEncoder, truth: Tensor, seed: int) -> Tensor:
    """The negative evidence bound of real images: the encoder learns what tells them apart, 0-d."""
    code = encoder.encode(truth)
    drawn = code.at(normal_numbers(code.mean.shape, seed).to(truth))
    return F.l1_loss(encoder.decode(drawn), truth) + DIVERGENCE * code.divergence()


class LEGANObjective(Companion):
    """The generator's loss, the discriminator's and the latent encoder's, none in another's way.

    Its weights are those of discriminator and encoder, which are trained along and not kept.
    """

    def __init__(self, stage: SystemStage) -> None:
        super().__init__()
        self.relative_rate = SMALL_RATE if stage.preset == "small" else 1.0
        width = 64 if stage.preset == "paper" else 16
        self.discriminator = Discriminator(
            bands=stage.resolved.bands, width=width, spectral=stage.preset == "small"
        )
        self.encoder = LatentEncoder(bands=stage.resolved.bands, width=width)

    def forward(
        self, backbone: Backbone, pair: ScalePair, rng: np.random.Generator
    ) -> tuple[Tensor, dict[str, float]]:
        """The loss of one batch, and its terms."""
        estimate = backbone(pair.image, scale=pair.scale)
        game = relativistic_game(self.discriminator, pair.target, estimate)
        terms = {
            f"L1, x{pair.scale}": (PIXEL, F.l1_loss(estimate, pair.target)),
            "spectral angle": (SPECTRAL, spectral_angle(estimate, pair.target)),
            "generator": (ADVERSARIAL, game.generator),
            "latent distance": (COUPLING, coupling(self.encoder, estimate, pair.target)),
            "discriminator": (1.0, game.discriminator),
            "latent encoder": (
                1.0,
                encoder_loss(self.encoder, pair.target, int(rng.integers(2**62))),
            ),
        }
        total = torch.stack([weight * term for weight, term in terms.values()]).sum()
        return total, {name: term.item() for name, (_, term) in terms.items()}
