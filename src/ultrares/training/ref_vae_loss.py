"""The loss of RefVAE: nine terms, from pixels to the likeness of the reference."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ultrares.backbones.ref_vae import RefVAEBackbone
from ultrares.data.scale_pairs import ScalePair
from ultrares.nets.discriminator import Discriminator
from ultrares.nets.ref_vae import RefVAENet, VggEncoder
from ultrares.training.adversarial import (
    SMALL_RATE,
    normal_numbers,
    relativistic_loss,
    without_gradient,
)
from ultrares.training.execution import Companion
from ultrares.training.perceptual import VGG19_FILE, Features, dual_features, fill
from ultrares.training.stages import SystemStage
from ultrares.types import Backbone

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Weights:
    """What each term counts.

    The paper's count sums over pixels: 100, 1, 0.01, 1, 0.01, 10 and 1 of the KL divergence, and 10^4 of
    LPIPS. Ours are means, which leaves their order and not their ratios.
    """

    cycle: float = 1.0
    pixel: float = 1.0
    adversarial: float = 0.001
    matched: float = 0.005
    content: float = 0.01
    style: float = 0.005
    divergence: float = 1e-3


def pyramid_l1(estimate: Tensor, truth: Tensor) -> Tensor:
    """Mean absolute errors at the full, half and quarter resolution, added, 0-d."""
    levels = [
        F.l1_loss(F.avg_pool2d(estimate, factor), F.avg_pool2d(truth, factor))
        for factor in (1, 2, 4)
    ]
    return torch.stack(levels).sum()


def gram(features: Tensor) -> Tensor:
    """Mean products of the channels of maps (B, C, h, w), (B, C, C): what is where is forgotten."""
    flat = features.flatten(2)
    return flat @ flat.transpose(1, 2) / flat.shape[-1]


def style_distance(features: Features, estimate: Tensor, reference: Tensor) -> Tensor:
    """Sum over the maps of the mean absolute difference of Gram matrices, 0-d."""
    with torch.no_grad():
        theirs = [gram(each) for each in features(reference)]
    ours = [gram(each) for each in features(estimate)]
    return torch.stack([F.l1_loss(a, b) for a, b in zip(ours, theirs, strict=True)]).sum()


def draw_reference(pair: ScalePair, enlarged: Tensor, rng: np.random.Generator) -> Tensor:
    """What the batch is coded from: mostly the image itself, else its truth, or another's truth.

    The released training shows the truth alone; a map of codes would learn to pass it on, and be at a
    loss without.
    """
    chance = rng.random()
    if chance < 0.5:
        return enlarged
    return pair.target if chance < 0.75 else pair.target.roll(1, dims=0)


def prepare_encoder(net: nn.Module, stage: SystemStage) -> None:
    """Give a frozen encoder the weights it is made for, or let it learn and say so.

    Args:
        net: Updated in place.
        stage: Its folder of features is where VGG-19 is looked for.

    Raises:
        ModelError: The folder holds no VGG-19.
    """
    assert isinstance(net, RefVAENet)
    if not isinstance(net.encoder, VggEncoder) or stage.start_from:
        return
    if stage.features is not None:
        fill(net.encoder.vgg, Path(stage.features) / VGG19_FILE)
        return
    net.encoder.requires_grad_(requires_grad=True)
    logger.warning(
        "an untrained encoder, trained along, stands in for a frozen VGG-19: the recipe names no folder "
        "of features"
    )


class RefVAEObjective(Companion):
    """The terms of the paper; its only weights are the discriminator's, which are not kept.

    Content and LPIPS are one term here: the distance of deep features.
    """

    def __init__(self, stage: SystemStage) -> None:
        super().__init__()
        self.relative_rate = SMALL_RATE if stage.preset == "small" else 1.0
        self.weights = Weights()
        width = 64 if stage.preset == "paper" else 16
        self.discriminator = Discriminator(
            bands=stage.resolved.bands, width=width, spectral=stage.preset == "small"
        )
        self.deep, self.shallow = dual_features(stage.features)

    def forward(
        self, backbone: Backbone, pair: ScalePair, rng: np.random.Generator
    ) -> tuple[Tensor, dict[str, float]]:
        """The loss of one batch, and its terms."""
        assert isinstance(backbone, RefVAEBackbone)
        enlarged = F.interpolate(
            pair.image, scale_factor=pair.scale, mode="bicubic", antialias=True
        )
        reference = draw_reference(pair, enlarged, rng)
        code = backbone.code(reference)
        normal = normal_numbers(code.mean.shape, int(rng.integers(2**62))).to(enlarged)
        estimate = backbone.decode(enlarged, code.at(normal))
        of = self.weights
        terms = {
            f"L1, x{pair.scale}": (of.pixel, pyramid_l1(estimate, pair.target)),
            "cycle": (of.cycle, F.l1_loss(pair.sensor.degrade(estimate, pair.scale), pair.image)),
            f"content by {self.deep.name}": (
                of.content,
                self.deep.distance(estimate, pair.target),
            ),
            f"style by {self.shallow.name}": (
                of.style,
                style_distance(self.shallow, estimate, reference),
            ),
            "divergence": (of.divergence, code.divergence()),
            **self._game(pair.target, estimate),
        }
        total = torch.stack([weight * term for weight, term in terms.values()]).sum()
        return total, {name: term.item() for name, (_, term) in terms.items()}

    def _game(self, real: Tensor, fake: Tensor) -> dict[str, tuple[float, Tensor]]:
        """The relativistic game, and how far the discriminator's features of the two are apart."""
        net = self.discriminator
        with without_gradient(net):
            ours, theirs = net.features(fake), [each.detach() for each in net.features(real)]
            matched = [F.l1_loss(a, b) for a, b in zip(ours, theirs, strict=True)]
            generator = relativistic_loss(net.judge(ours[-1]), net.judge(theirs[-1]))
        own = relativistic_loss(net(real), net(fake.detach()))
        return {
            "generator": (self.weights.adversarial, generator),
            "matched features": (self.weights.matched, torch.stack(matched).sum()),
            "discriminator": (1.0, own),
        }
