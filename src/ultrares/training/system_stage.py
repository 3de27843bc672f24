"""Train one of the papers' systems: its network, its loss, its pairs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ultrares.data.scale_pairs import ScalePairSampler
from ultrares.sensor.models import parse_sensor
from ultrares.training.execution import Companion, Execution
from ultrares.training.loop import optimise
from ultrares.training.stages import SystemStage
from ultrares.training.start import start_from
from ultrares.training.system_losses import LOSSES, PREPARED


def scale_pair_sampler(tiles: np.ndarray, stage: SystemStage) -> ScalePairSampler:
    """Build the sampler that a system's data section describes."""
    data = stage.data
    return ScalePairSampler(
        tiles,
        sensors={parse_sensor(name): share for name, share in data.sensors.items()},
        scales=stage.resolved.scales,
        crop=data.crop,
        batch=data.batch,
        any_bands=data.any_bands,
    )


def train_system(
    stage: SystemStage,
    tiles: np.ndarray,
    *,
    folder: Path,
    autocast: bool,
    execution: Execution | None = None,
) -> nn.Module:
    """Train the network of a recipe's system on tiles (N, C, H, W) of unsigned 8-bit."""
    torch.manual_seed(stage.seed)
    system, settings = stage.system, stage.resolved
    net = system.build(settings)
    start_from(net, "backbone", stage.start_from)
    if stage.kind in PREPARED:
        PREPARED[stage.kind](net, stage)
    sampler = scale_pair_sampler(tiles, stage)
    objective = LOSSES[stage.kind](stage)

    def loss(model: nn.Module, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        backbone = system.backbone(model, settings, name=stage.kind, autocast=autocast)
        return objective(backbone, sampler.draw(rng).to(_device(model)), rng)

    def preview(model: nn.Module, rng: np.random.Generator) -> dict[str, Tensor]:
        pair = sampler.draw(rng).to(_device(model))
        backbone = system.backbone(model, settings, name=stage.kind, autocast=autocast)
        enlarged = nn.functional.interpolate(
            pair.image, scale_factor=pair.scale, mode="bicubic", antialias=True
        )
        estimate = backbone(pair.image, scale=pair.scale)
        return {"input": enlarged, "estimate": estimate, "truth": pair.target}

    return optimise(
        net,
        loss,
        stage.optimiser,
        folder=folder,
        seed=stage.seed,
        preview=preview,
        # A batch is of one scale, and leaves the weights of the other alone.
        execution=execution and execution.with_idle_weights(),
        # An objective with weights, such as a discriminator's, learns along.
        beside=objective if isinstance(objective, Companion) else None,
    ).eval()


def _device(model: nn.Module) -> torch.device:
    return next(model.parameters(), torch.empty(0)).device
