"""Train the neural operator at continuous scales: stage 1 of NeurOp-Diff."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ultrares.data.continuous_pairs import ContinuousPair, ContinuousSampler
from ultrares.nets.neural_operator import NeuralOperator, bilinear
from ultrares.nets.wavelet_residual import context_vector
from ultrares.training.execution import Execution
from ultrares.training.losses import log_squared, psnr
from ultrares.training.phases import Objective, fit_in_phases
from ultrares.training.sections import ContinuousData
from ultrares.training.stages import OperatorLoss, OperatorStage

SHARED = 0.5
"""Share of batches whose integrals are taken over all their images: those of a scene are over many places,
those of a small image over few, and the operator has to live with both."""


LOSSES: dict[OperatorLoss, Callable[[Tensor, Tensor], Tensor]] = {
    "absolute": F.l1_loss,
    "log-squared": log_squared,
}


@dataclass(frozen=True, eq=False)
class Operating:
    """What an operator is trained on: one scale a batch, drawn evenly.

    Attributes:
        sampler: Where pairs come from.
        error: What an estimate is compared with the truth by.
        autocast: Whether to compute in bfloat16.
    """

    sampler: ContinuousSampler
    error: Callable[[Tensor, Tensor], Tensor]
    autocast: bool

    def loss(self, model: nn.Module, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        """The error of one batch."""
        pair, estimate = self._estimated(model, rng)
        plain = bilinear(pair.image, pair.queries)
        gain = psnr(estimate.detach(), pair.target) - psnr(plain, pair.target)
        name = f"dB over bilinear, scale {math.floor(pair.scale)} and up"
        return self.error(estimate, pair.target), {name: gain}

    def preview(self, model: nn.Module, rng: np.random.Generator) -> dict[str, Tensor]:
        """Pictures of one batch."""
        pair, estimate = self._estimated(model, rng)
        return {
            "input": bilinear(pair.image, pair.queries),
            "estimate": estimate,
            "truth": pair.target,
        }

    def _estimated(
        self, model: nn.Module, rng: np.random.Generator
    ) -> tuple[ContinuousPair, Tensor]:
        assert isinstance(model, NeuralOperator)
        pair = self.sampler.draw(rng).to(model.last.weight.device)
        context = context_vector(1, mtf=pair.sensor.mtf, depth=0).to(pair.image)
        shared = bool(rng.random() < SHARED)
        with torch.autocast(pair.image.device.type, torch.bfloat16, enabled=self.autocast):
            image = pair.image.contiguous(memory_format=torch.channels_last)
            estimate: Tensor = model(image, pair.queries, context, shared=shared)
        return pair, estimate.float()


def train_operator(
    net: NeuralOperator,
    sampler_of: Callable[[ContinuousData], ContinuousSampler],
    stage: OperatorStage,
    *,
    folder: Path,
    autocast: bool,
    execution: Execution | None = None,
) -> NeuralOperator:
    """Fit an operator to the truth and return averaged weights.

    Args:
        net: Updated in place.
        sampler_of: Samples a data section.
        stage: Its schedule and what it is fitted by.
        folder: Where checkpoint, log and previews are kept.
        autocast: Whether to compute in bfloat16.
        execution: Where to compute.
    """

    def objective_of(phase: OperatorStage) -> Objective:
        task = Operating(sampler_of(phase.data), LOSSES[phase.loss], autocast)
        return Objective(task.loss, task.preview)

    return fit_in_phases(net, stage, objective_of, folder=folder, execution=execution)
