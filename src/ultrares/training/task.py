"""What Lightning is told about a stage: the network, its loss, its optimiser."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from ultrares.training.execution import Companion, Loss
from ultrares.training.sections import OptimiserSection


def relative_rate(step: int, settings: OptimiserSection) -> float:
    """Share of the peak learning rate at a step: a linear warm-up, then half a cosine to zero."""
    if step < settings.warmup:
        return (step + 1) / settings.warmup
    progress = (step - settings.warmup) / max(1, settings.steps - settings.warmup)
    return 0.5 * (1 + math.cos(math.pi * progress))


class RemainingSteps:
    """The numbers of the steps still to do: all that Lightning has to load.

    Its state is none at all, which tells Lightning that a resumed run needs no batches skipped.
    """

    def __init__(self, done: int, total: int) -> None:
        self._steps = range(done, total)

    def __iter__(self) -> Iterator[int]:
        """Go through the numbers."""
        return iter(self._steps)

    def state_dict(self) -> dict[str, Any]:
        """Return nothing: the step number is the whole state."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take nothing back."""


class Task(pl.LightningModule):
    """A network, fitted to a loss whose every step draws from a generator of its own.

    Args:
        net: Updated in place.
        loss: Draws a batch and returns its loss and figures worth logging.
        settings: Rate, steps and clipping.
        seed: Seed of the batches. Step and process number are mixed in, so that the draws of a step do
            not depend on the steps before it.
        beside: What the loss judges by and is fitted to it too.
    """

    def __init__(
        self,
        net: nn.Module,
        loss: Loss,
        settings: OptimiserSection,
        seed: int,
        *,
        beside: Companion | None = None,
    ) -> None:
        super().__init__()
        self.net = net
        self.beside = beside
        self.figures: dict[str, float] = {}
        self._loss, self._settings, self._seed = loss, settings, seed

    def training_step(self, step: int) -> Tensor:
        """Return the loss of one batch."""
        rng = np.random.default_rng((self._seed, step, self.global_rank))
        value, figures = self._loss(self.net, rng)
        self.figures = {"loss": value.item(), **figures}
        return value

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return Adam and the schedule of its rate.

        Adam looks at each weight alone, so one with two groups is two of them, step for step; and as the
        loss holds both networks as they were before the step, so are the turns that GANs are trained in.
        """
        settings = self._settings
        groups: list[dict[str, Any]] = [{"params": list(self.net.parameters())}]
        if self.beside is not None:
            rate = settings.rate * self.beside.relative_rate
            groups.append({"params": list(self.beside.parameters()), "lr": rate})
        adam = torch.optim.Adam(groups, lr=settings.rate, betas=(0.9, 0.99))
        schedule = torch.optim.lr_scheduler.LambdaLR(
            adam, lambda step: relative_rate(step, settings)
        )
        return {"optimizer": adam, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def configure_gradient_clipping(self, *_: object, **__: object) -> None:
        """Clip the gradient of each network, and log how long that of the first was."""
        norms = [
            nn.utils.clip_grad_norm_(net.parameters(), self._settings.clip) for net in self._fitted
        ]
        self.figures["gradient norm"] = norms[0].item()

    @property
    def _fitted(self) -> list[nn.Module]:
        return [self.net] if self.beside is None else [self.net, self.beside]
