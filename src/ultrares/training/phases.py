"""A network is fitted by the phases of its stage, each from the averaged weights of the one before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from torch import nn

from ultrares.training.execution import Execution, Loss, Preview
from ultrares.training.loop import optimise
from ultrares.training.stages import AnyStage

Net = TypeVar("Net", bound=nn.Module)
OneStage = TypeVar("OneStage", bound=AnyStage)


@dataclass(frozen=True)
class Objective:
    """What a network is fitted to.

    Attributes:
        loss: Draws a batch and returns its loss.
        preview: Makes pictures of a batch that stays the same.
    """

    loss: Loss
    preview: Preview | None = None


def fit_in_phases(
    net: Net,
    stage: OneStage,
    objective_of: Callable[[OneStage], Objective],
    *,
    folder: Path,
    execution: Execution | None = None,
) -> Net:
    """Fit ``net`` by all phases of a stage and return its averaged weights.

    Args:
        net: Where it begins; use what is returned.
        stage: Its phases say what is drawn, and how long.
        objective_of: What a phase fits the network to.
        folder: Where checkpoint, log and previews of the first phase are kept, and folders of the others.
        execution: Where to compute.

    Raises:
        UltraresError: As for :func:`~ultrares.training.loop.optimise`.
    """
    # A phase that cannot be is found before those ahead of it have taken their hours.
    planned = [(phase, place, objective_of(phase)) for phase, place in stage.phases_in(folder)]
    for phase, place, objective in planned:
        fitted = optimise(
            net,
            objective.loss,
            phase.optimiser,
            folder=place,
            seed=phase.seed,
            preview=objective.preview,
            execution=execution,
        )
        assert isinstance(fitted, type(net))
        net = fitted
    return net
