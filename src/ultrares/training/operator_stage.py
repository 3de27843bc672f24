"""Train the neural operator at continuous scales: stage 1 of NeurOp-Diff."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ultrares.data.continuous_pairs import ContinuousPair, ContinuousSampler
from ultrares.nets.neural_operator import NeuralOperator, bilinear
from ultrares.nets.wavelet_residual import context_vector
from ultrares.training.execution import Execution
from ultrares.training.loop import optimise
from ultrares.training.losses import log_squared
from ultrares.training.sections import OptimiserSection

OperatorLoss = Literal["absolute", "log-squared"]

SHARED = 0.5
"""Share of batches whose integrals are taken over all their images: those of a scene are over many places,
those of a small image over few, and the operator has to live with both."""


LOSSES: dict[OperatorLoss, Callable[[Tensor, Tensor], Tensor]] = {
    "absolute": F.l1_loss,
    "log-squared": log_squared,
}


def train_operator(
    net: NeuralOperator,
    sampler: ContinuousSampler,
    optimiser: OptimiserSection,
    *,
    folder: Path,
    seed: int,
    autocast: bool,
    loss: OperatorLoss = "absolute",
    execution: Execution | None = None,
) -> NeuralOperator:
    """Fit an operator to the truth and return averaged weights.

    Args:
        net: Updated in place.
        sampler: Draws one scale a batch.
        optimiser: Its schedule.
        folder: Where checkpoint, log and previews are kept.
        seed: Seed of the batches.
        autocast: Whether to compute in bfloat16.
        loss: What it is fitted by; see :class:`~ultrares.training.stages.OperatorStage`.
        execution: Where to compute.
    """
    error = LOSSES[loss]

    def estimated(model: nn.Module, rng: np.random.Generator) -> tuple[ContinuousPair, Tensor]:
        assert isinstance(model, NeuralOperator)
        pair = sampler.draw(rng).to(model.last.weight.device)
        context = context_vector(1, mtf=pair.sensor.mtf, depth=0).to(pair.image)
        shared = bool(rng.random() < SHARED)
        with torch.autocast(pair.image.device.type, torch.bfloat16, enabled=autocast):
            image = pair.image.contiguous(memory_format=torch.channels_last)
            estimate: Tensor = model(image, pair.queries, context, shared=shared)
        return pair, estimate.float()

    def drawn_loss(model: nn.Module, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        pair, estimate = estimated(model, rng)
        plain = bilinear(pair.image, pair.queries)
        gain = _psnr(estimate.detach(), pair.target) - _psnr(plain, pair.target)
        name = f"dB over bilinear, scale {math.floor(pair.scale)} and up"
        return error(estimate, pair.target), {name: gain}

    def preview(model: nn.Module, rng: np.random.Generator) -> dict[str, Tensor]:
        pair, estimate = estimated(model, rng)
        return {
            "input": bilinear(pair.image, pair.queries),
            "estimate": estimate,
            "truth": pair.target,
        }

    trained = optimise(
        net, drawn_loss, optimiser, folder=folder, seed=seed, preview=preview, execution=execution
    )
    assert isinstance(trained, NeuralOperator)
    return trained


def _psnr(estimate: Tensor, truth: Tensor) -> float:
    return -10 * math.log10(F.mse_loss(estimate, truth).item() + 1e-12)
