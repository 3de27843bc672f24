"""Train the cross-scale pyramid and the high-frequency module of Algorithm 2 with their backbone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ultrares.backbones.wavelet_residual import WaveletResidualBackbone
from ultrares.data.reference_images import ReferenceMixture
from ultrares.data.reference_pairs import (
    CropMixture,
    ReferencePair,
    ReferencePairSampler,
    group_by_place,
)
from ultrares.data.tiles import Tiles
from ultrares.methods.cross_scale import CrossScale
from ultrares.nets.cross_scale_pyramid import CrossScalePyramid
from ultrares.nets.high_frequency import HighFrequency
from ultrares.nets.wavelet_residual import WaveletResidualNet
from ultrares.sensor.backprojection import back_project
from ultrares.sensor.models import SensorModel, parse_sensor
from ultrares.training.backbone_stage import enlarged
from ultrares.training.denoiser_stage import Draw, MeanBatch, held
from ultrares.training.execution import Execution
from ultrares.training.losses import image_loss, psnr
from ultrares.training.phases import Objective, fit_in_phases
from ultrares.training.sections import DataSection, RestorationNetSection, TilesSection
from ultrares.training.stages import RestorationStage
from ultrares.training.start import start_from
from ultrares.types import AlignedReference
from ultrares.wavelet import Bands, merge, split

NEW_BLOCKS = ("blocks.",)
"""What a deeper pyramid than that of ``start_from`` has more: blocks that begin as the identity."""


@dataclass(frozen=True)
class Exits:
    """What the parts of Algorithm 2 give, one after the other, (B, C, 2 * h, 2 * w) each.

    Attributes:
        restored: The backbone alone: Algorithm 1.
        conditioned: With the conditions; None without a reference.
        result: With conditions and high-frequency restoration.
    """

    restored: Tensor
    conditioned: Tensor | None
    result: Tensor


class Restorer(nn.Module):
    """The networks of Algorithm 2's conditional mean.

    The backbone learns from batches without a reference only: those with one are there to learn what to
    believe of it, and the backbone's own work must not lean on it.
    """

    def __init__(
        self, backbone: WaveletResidualNet, settings: RestorationNetSection, *, autocast: bool
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.pyramid = CrossScalePyramid(
            width=settings.width, heads=settings.heads, blocks=settings.blocks
        )
        self.details = (
            HighFrequency(width=settings.detail_width, heads=settings.detail_heads)
            if settings.detail_width
            else None
        )
        self.uses_details = True
        self.autocast = autocast

    def forward(self, image: Tensor, reference: Tensor | None, *, mtf: float, depth: int) -> Exits:
        """Restore ``image`` (B, C, h, w) with a reference (B, C, 2 * h, 2 * w) or without."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and reference is None):
            backbone = WaveletResidualBackbone(self.backbone, autocast=self.autocast)
            restored = backbone(image, mtf=mtf, depth=depth)
        parts = CrossScale(self.pyramid, self.details if self.uses_details else None, self.autocast)
        offered = None
        if reference is not None:
            offered = AlignedReference(reference, torch.ones_like(reference[:, :1]))
        tau = parts.conditions(image, restored, offered, mtf=mtf, depth=depth)
        details = parts.restored_details(image, restored, tau, split(image), mtf=mtf, depth=depth)
        return Exits(
            restored,
            None if reference is None else restored + merge(tau),
            merge(Bands(split(restored).approx + tau.approx, *details)),
        )

    def level(
        self,
        image: Tensor,
        original: Tensor,
        sensor: SensorModel,
        depth: int,
        reference: Tensor | None,
    ) -> Tensor:
        """One level as inference does it: the conditional mean, then back-projection onto the original."""
        with torch.no_grad():
            rows, cols = image.shape[-2:]
            # The windows of the attention need whole multiples; what is added is cut off again.
            below, right = (-side % self.pyramid.multiple_of for side in (rows, cols))
            padded = F.pad(image, (0, right, 0, below), mode="replicate")
            if reference is not None:
                reference = F.pad(reference, (0, 2 * right, 0, 2 * below), mode="replicate")
            fine = self(padded, reference, mtf=sensor.mtf, depth=depth).result
            fine = fine[..., : 2 * rows, : 2 * cols].float()
            return back_project(fine, original, sensor, 2 ** (depth + 1), iterations=1)


def reference_sampler(tiles: Tiles, settings: DataSection) -> ReferencePairSampler:
    """Build the sampler that a recipe's data section describes."""
    given = settings.references
    places: list[list[int]] = []
    mixture = ReferenceMixture(offered=0.0)
    if given is not None:
        places = group_by_place(tiles, given.places)
        mixture = ReferenceMixture(
            offered=given.offered,
            wrong=given.wrong,
            blurred=given.blurred,
            shifted=given.shifted,
            simulated=given.simulated,
            jitter=given.jitter,
            registered=given.registered,
            registration_error=given.registration_error,
            trusted=given.trusted,
        )
    return ReferencePairSampler(
        tiles.pixels,
        places,
        CropMixture(
            sensors={parse_sensor(name): share for name, share in settings.sensors.items()},
            depths=settings.depths,
            octaves=settings.octaves,
            crop=settings.crop,
            batch=settings.batch,
            any_bands=settings.any_bands,
        ),
        mixture,
    )


@dataclass(frozen=True, eq=False)
class Restoration:
    """What pyramid and high-frequency restoration are trained on.

    Attributes:
        sampler: Where pairs come from.
        stage: The recipe's stage.
    """

    sampler: ReferencePairSampler
    stage: RestorationStage

    def loss(self, model: nn.Module, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        """The image loss of the result, and the absolute error of what was there before."""
        pair, exits = self._draw(model, rng)
        before = exits.restored if exits.conditioned is None else exits.conditioned
        value = image_loss(exits.result, pair.target, self.stage.loss)
        value = value + self.stage.exits * F.l1_loss(before, pair.target)
        kind = "alone" if exits.conditioned is None else "with reference"
        restored = exits.restored.detach()
        gain = psnr(exits.result.detach(), pair.target) - psnr(restored, pair.target)
        name = f"dB over backbone, {kind}, octave {pair.octave}, depth {pair.depth}"
        return value, {name: gain}

    def preview(self, model: nn.Module, rng: np.random.Generator) -> dict[str, Tensor]:
        """Pictures of one batch."""
        pair, exits = self._draw(model, rng)
        pictures = {"input": enlarged(pair.image)}
        if pair.reference is not None:
            pictures["reference"] = pair.reference
        return {**pictures, "estimate": exits.result, "truth": pair.target}

    def _draw(self, model: nn.Module, rng: np.random.Generator) -> tuple[ReferencePair, Exits]:
        assert isinstance(model, Restorer)
        pair = _on_its_device(model, self.sampler, rng)
        exits = model(pair.image, pair.reference, mtf=pair.sensor.mtf, depth=pair.depth)

        def hold(estimate: Tensor) -> Tensor:
            return held(estimate, pair.image, pair.sensor)

        conditioned = None if exits.conditioned is None else hold(exits.conditioned)
        return pair, Exits(hold(exits.restored), conditioned, hold(exits.result))


def train_restoration(
    stage: RestorationStage,
    backbone: WaveletResidualNet,
    tiles_of: Callable[[TilesSection], Tiles],
    *,
    folder: Path,
    autocast: bool,
    execution: Execution | None = None,
) -> Restorer:
    """Train pyramid and details of a recipe's restoration stage, and their backbone on.

    Args:
        stage: Sizes, references, schedule.
        backbone: Trained; learns on, so use that of what is returned.
        tiles_of: Cuts the tiles of a data section.
        folder: Where checkpoint, log and previews are kept.
        autocast: Whether to compute in bfloat16.
        execution: Where to compute.
    """
    torch.manual_seed(stage.seed)
    model = Restorer(backbone, stage.net, autocast=autocast).train()
    start_from(model.pyramid, "pyramid", stage.start_from, fresh=NEW_BLOCKS)
    if model.details is not None:
        start_from(model.details, "details", stage.start_from)

    def objective_of(phase: RestorationStage) -> Objective:
        task = Restoration(reference_sampler(tiles_of(phase.data), phase.data), phase)
        return Objective(task.loss, task.preview)

    model = fit_in_phases(model, stage, objective_of, folder=folder, execution=execution)
    model.uses_details = stage.details
    return model


def means_of_restorer(model: Restorer, sampler: ReferencePairSampler) -> Draw:
    """Batches whose mean is Algorithm 2's, with and without references."""

    def draw(rng: np.random.Generator, device: torch.device) -> MeanBatch:
        # Frozen, hence no part of what Lightning moves.
        model.to(device)
        pair = _on_its_device(model, sampler, rng)
        with torch.no_grad():
            exits = model(pair.image, pair.reference, mtf=pair.sensor.mtf, depth=pair.depth)
        mean = held(exits.result.float(), pair.image, pair.sensor)
        return MeanBatch(pair.image, mean, pair.target, pair.sensor.mtf, pair.depth)

    return draw


def _on_its_device(
    model: Restorer, sampler: ReferencePairSampler, rng: np.random.Generator
) -> ReferencePair:
    """A batch on the device of the model, its cascade computed there."""
    device = next(model.parameters()).device

    def level(
        image: Tensor, original: Tensor, sensor: SensorModel, depth: int, there: Tensor | None
    ) -> Tensor:
        there = None if there is None else there.to(device)
        return model.level(image.to(device), original.to(device), sensor, depth, there)

    return sampler.draw(rng, level).to(device)
