"""The loss of LAR-SR: each of its three parts by its own, none through another."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from torch import Tensor
from torch.nn import functional as F

from ultrares.backbones.lar_sr import LARSRBackbone
from ultrares.data.scale_pairs import ScalePair
from ultrares.training.stages import SystemStage
from ultrares.types import Backbone

COMMITMENT, BALANCE, ORDER = 0.02, 0.01, 0.1
"""What the codebook's loss, its imbalance and the cross-entropy count beside the absolute errors; ours."""


def lar_sr_objective(
    stage: SystemStage,
) -> Callable[[Backbone, ScalePair, np.random.Generator], tuple[Tensor, dict[str, float]]]:
    """The objective of LAR-SR, which has no settings of its own."""
    del stage
    return lar_sr_loss


def lar_sr_loss(
    backbone: Backbone, pair: ScalePair, rng: np.random.Generator
) -> tuple[Tensor, dict[str, float]]:
    """L1 of the super-resolver, L1 and codebook loss of the VQ-VAE, cross-entropy of the autoregression.

    The paper trains the parts one after the other. As no gradient leaves a part, training them at once
    differs in that the later ones follow the earlier while those still move.
    """
    del rng
    assert isinstance(backbone, LARSRBackbone)
    with backbone.convolving(pair.image):
        fine = backbone.net.super_resolve(pair.image, pair.scale)
        parts = backbone.net.code(fine, pair.target)
    super_resolved = F.l1_loss(fine, pair.target)
    decoded = F.l1_loss(parts.decoded, pair.target)
    order = F.cross_entropy(parts.logits.float(), parts.codes)
    total = (
        super_resolved
        + decoded
        + COMMITMENT * parts.commitment
        + BALANCE * parts.imbalance
        + ORDER * order
    )
    return total, {
        f"L1 of the super-resolver, x{pair.scale}": super_resolved.item(),
        f"L1 of the codes, x{pair.scale}": decoded.item(),
        "codebook": parts.commitment.item(),
        "imbalance of the codes": parts.imbalance.item(),
        "codes in use": float(parts.codes.unique().numel()),
        "nats a code": order.item(),
    }
