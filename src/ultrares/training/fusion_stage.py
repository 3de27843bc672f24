"""Train the spatiotemporal fusion, which brings references to the date of a scene."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ultrares.data.fusion_pairs import FusionMixture, FusionPair, FusionPairSampler
from ultrares.data.reference_images import ReferenceMixture
from ultrares.data.reference_pairs import group_by_place
from ultrares.data.tiles import Tiles
from ultrares.methods.reference_fusion import ReferenceFusion, enlarged
from ultrares.nets.spatiotemporal_fusion import SpatiotemporalFusion
from ultrares.sensor.models import parse_sensor
from ultrares.training.execution import Execution
from ultrares.training.losses import log_squared, psnr
from ultrares.training.phases import Objective, fit_in_phases
from ultrares.training.sections import FusionData, TilesSection
from ultrares.training.stages import FusionStage
from ultrares.training.start import start_from
from ultrares.types import AlignedReference


def fusion_sampler(tiles: Tiles, settings: FusionData) -> FusionPairSampler:
    """Build the sampler that a recipe's data section describes."""
    given = settings.references
    return FusionPairSampler(
        tiles.pixels,
        group_by_place(tiles, given.places),
        FusionMixture(
            sensors={parse_sensor(name): share for name, share in settings.sensors.items()},
            ratios=settings.ratios,
            batch=settings.batch,
            any_bands=settings.any_bands,
        ),
        ReferenceMixture(
            wrong=given.wrong,
            blurred=given.blurred,
            shifted=given.shifted,
            simulated=given.simulated,
            jitter=given.jitter,
            registered=given.registered,
            registration_error=given.registration_error,
        ),
    )


@dataclass(frozen=True, eq=False)
class Fusing:
    """What the fusion is trained on: PSNR itself, crop by crop.

    Attributes:
        sampler: Where pairs come from.
        autocast: Whether to compute in bfloat16.
    """

    sampler: FusionPairSampler
    autocast: bool

    def loss(self, model: nn.Module, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        """The mean over crops of the logarithm of the squared error."""
        pair, fused = self._fused(model, rng)
        each = [log_squared(*both) for both in zip(fused, pair.target, strict=True)]
        gain = psnr(fused.detach(), pair.target) - psnr(pair.reference, pair.target)
        return torch.stack(each).mean(), {f"dB over reference, x{pair.ratio}": gain}

    def preview(self, model: nn.Module, rng: np.random.Generator) -> dict[str, Tensor]:
        """Pictures of one batch."""
        pair, fused = self._fused(model, rng)
        return {
            "input": enlarged(pair.scene, pair.ratio),
            "reference": pair.reference,
            "estimate": fused,
            "truth": pair.target,
        }

    def _fused(self, model: nn.Module, rng: np.random.Generator) -> tuple[FusionPair, Tensor]:
        assert isinstance(model, SpatiotemporalFusion)
        device = model.head.weight.device
        pair = self.sampler.draw(rng).to(device)
        fusion = ReferenceFusion(model, pair.sensor, autocast=self.autocast, device=str(device))
        offered = AlignedReference(pair.reference, pair.valid)
        return pair, fusion(pair.scene, offered, pair.ratio)


def train_fusion(
    stage: FusionStage,
    tiles_of: Callable[[TilesSection], Tiles],
    *,
    folder: Path,
    autocast: bool,
    execution: Execution | None = None,
) -> SpatiotemporalFusion:
    """Train the network of a recipe's fusion stage.

    Args:
        stage: Size, imagery, schedule.
        tiles_of: Cuts the tiles of a data section.
        folder: Where checkpoint, log and previews are kept.
        autocast: Whether to compute in bfloat16.
        execution: Where to compute.
    """
    torch.manual_seed(stage.seed)
    net = SpatiotemporalFusion(width=stage.net.width)
    start_from(net, "fusion", stage.start_from)

    def objective_of(phase: FusionStage) -> Objective:
        task = Fusing(fusion_sampler(tiles_of(phase.data), phase.data), autocast)
        return Objective(task.loss, task.preview)

    return fit_in_phases(net, stage, objective_of, folder=folder, execution=execution)
