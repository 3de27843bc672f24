"""Train the cross-scale pyramid and the high-frequency module of Algorithm 2 around a backbone."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional as F

from ultrares.backbones.wavelet_residual import WaveletResidualBackbone
from ultrares.data.reference_pairs import ReferenceMixture, ReferencePair, ReferencePairSampler
from ultrares.methods.cross_scale import CrossScale
from ultrares.nets.cross_scale_pyramid import CrossScalePyramid
from ultrares.nets.high_frequency import HighFrequency
from ultrares.nets.wavelet_residual import WaveletResidualNet
from ultrares.sensor.backprojection import back_project
from ultrares.sensor.models import Box, SensorModel, parse_sensor
from ultrares.training.denoiser_stage import MeanBatch, held
from ultrares.training.loop import optimise
from ultrares.training.recipe import OptimiserSection
from ultrares.types import AlignedReference
from ultrares.wavelet import Bands, merge, split


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RestorationData(_Section):
    """What the stage sees."""

    sensors: dict[str, float]
    depths: tuple[float, float, float]
    octaves: tuple[float, float, float, float] = (0.4, 0.25, 0.2, 0.15)
    crop: int = 48
    batch: int = 8
    any_bands: float = 0.2
    places: str = ""
    """Regular expression whose groups say which place a tile's file name shows."""
    offered: float = 0.5
    wrong: float = 0.12


class RestorationNet(_Section):
    """How large the modules are."""

    width: int = 96
    heads: int = 12
    blocks: int = 1
    detail_width: int = 64
    detail_heads: int = 8


class RestorationLoss(_Section):
    """Weights of the loss beside the L1 of the result."""

    exits: Annotated[float, Field(ge=0)] = 0.2
    """L1 of what the backbone with conditions alone would give."""
    realness: float = 0.1
    """lambda_1 of Eq. 19."""
    total_variation: float = 0.001
    """lambda_2 of Eq. 19; the paper's 2 erases the bands (science of the Wiener gain)."""


class RestorationStage(_Section):
    """The stage between backbone and denoiser."""

    seed: int = 0
    data: RestorationData
    net: RestorationNet = RestorationNet()
    loss: RestorationLoss = RestorationLoss()
    optimiser: OptimiserSection


class Restorer(nn.Module):
    """The three networks of the conditional mean, as one module to train."""

    def __init__(self, backbone: WaveletResidualNet, settings: RestorationNet) -> None:
        super().__init__()
        self.backbone = backbone.requires_grad_(requires_grad=False)
        self.pyramid = CrossScalePyramid(
            width=settings.width, heads=settings.heads, blocks=settings.blocks
        )
        self.details = HighFrequency(width=settings.detail_width, heads=settings.detail_heads)

    def exits(
        self,
        image: Tensor,
        reference: Tensor | None,
        *,
        mtf: float,
        depth: int,
        autocast: bool,
    ) -> tuple[Tensor, Tensor | None, Tensor]:
        """The backbone's image, the image with conditions (None without reference), and the result."""
        with torch.no_grad():
            # Any pre-trained super-resolver stands here, so it is taken as it is.
            restored = WaveletResidualBackbone(self.backbone, autocast=autocast)(
                image, mtf=mtf, depth=depth
            )
        parts = CrossScale(self.pyramid, self.details, autocast)
        offered = None
        if reference is not None:
            offered = AlignedReference(reference, torch.ones_like(reference[:, :1]))
        tau = parts.conditions(image, restored, offered, mtf=mtf, depth=depth)
        conditioned = None if reference is None else restored + merge(tau)
        details = parts.restored_details(image, restored, tau, split(image), mtf=mtf, depth=depth)
        return restored, conditioned, merge(Bands(split(restored).approx + tau.approx, *details))


def restored_level(
    model: Restorer,
    image: Tensor,
    original: Tensor,
    sensor: SensorModel,
    depth: int,
    reference: Tensor | None,
    *,
    autocast: bool,
) -> Tensor:
    """One level as inference does it: the conditional mean, then back-projection onto the original."""
    with torch.no_grad():
        rows, cols = image.shape[-2:]
        # The windows of the attention need whole multiples; what is added is cut off again.
        below, right = -rows % 16, -cols % 16
        padded = F.pad(image, (0, right, 0, below), mode="replicate")
        if reference is not None:
            reference = F.pad(reference, (0, 2 * right, 0, 2 * below), mode="replicate")
        fine = model.exits(padded, reference, mtf=sensor.mtf, depth=depth, autocast=autocast)[2]
        fine = fine[..., : 2 * rows, : 2 * cols].float()
        return back_project(fine, original, sensor, 2 ** (depth + 1), iterations=1)


def reference_sampler(
    tiles: np.ndarray, places: Sequence[Sequence[int]], settings: RestorationData
) -> ReferencePairSampler:
    """Build the sampler that a recipe's data section describes."""
    return ReferencePairSampler(
        tiles,
        places,
        sensors={parse_sensor(name): share for name, share in settings.sensors.items()},
        depths=settings.depths,
        octaves=settings.octaves,
        crop=settings.crop,
        batch=settings.batch,
        any_bands=settings.any_bands,
        mixture=ReferenceMixture(offered=settings.offered, wrong=settings.wrong),
    )


def restoration_loss(
    exits: tuple[Tensor, Tensor | None, Tensor], pair: ReferencePair, weights: RestorationLoss
) -> Tensor:
    """L1 of result and conditions, and L_realness of the result's detail bands."""
    _, conditioned, result = exits
    loss = F.l1_loss(result, pair.target)
    if conditioned is not None:
        loss = loss + weights.exits * F.l1_loss(conditioned, pair.target)
    bands, truth = torch.cat(split(result)[1:], 1), torch.cat(split(pair.target)[1:], 1)
    variation = bands.diff(dim=-1).square().mean() + bands.diff(dim=-2).square().mean()
    realness = weights.realness * F.mse_loss(bands, truth)
    return loss + realness + weights.total_variation * 2 * variation


def _psnr(estimate: Tensor, truth: Tensor) -> float:
    return -10 * math.log10(F.mse_loss(estimate, truth).item() + 1e-12)


def train_restoration(
    stage: RestorationStage,
    backbone: WaveletResidualNet,
    tiles: np.ndarray,
    places: Sequence[Sequence[int]],
    *,
    folder: Path,
    autocast: bool,
) -> Restorer:
    """Train pyramid and details of a recipe's restoration stage around a frozen backbone."""
    torch.manual_seed(stage.seed)
    model = Restorer(backbone, stage.net)
    sampler = reference_sampler(tiles, places, stage.data)

    def loss(model: nn.Module, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        assert isinstance(model, Restorer)

        def level(
            image: Tensor, original: Tensor, sensor: SensorModel, depth: int, there: Tensor | None
        ) -> Tensor:
            return restored_level(model, image, original, sensor, depth, there, autocast=autocast)

        pair = sampler.draw(rng, level)
        exits = model.exits(
            pair.image, pair.reference, mtf=pair.sensor.mtf, depth=pair.depth, autocast=autocast
        )
        if isinstance(pair.sensor, Box):
            restored, conditioned, result = exits
            exits = (
                back_project(restored, pair.image, pair.sensor, 2),
                conditioned
                if conditioned is None
                else back_project(conditioned, pair.image, pair.sensor, 2),
                back_project(result, pair.image, pair.sensor, 2),
            )
        value = restoration_loss(exits, pair, stage.loss)
        gain = _psnr(exits[2].detach(), pair.target) - _psnr(exits[0].detach(), pair.target)
        plain = F.interpolate(pair.image, scale_factor=2, mode="bicubic", antialias=True)
        base = _psnr(exits[0].detach(), pair.target) - _psnr(plain, pair.target)
        kind = "alone" if pair.reference is None else "with reference"
        return value, {
            f"dB over backbone, {kind}, octave {pair.octave}, depth {pair.depth}": gain,
            f"backbone's dB over bicubic, {pair.sensor.name}, depth {pair.depth}": base,
        }

    trained = optimise(model, loss, stage.optimiser, folder=folder, seed=stage.seed)
    assert isinstance(trained, Restorer)
    return trained


def means_of_restorer(
    model: Restorer, sampler: ReferencePairSampler, *, autocast: bool
) -> Callable[[np.random.Generator], MeanBatch]:
    """Batches whose mean is Algorithm 2's, with and without references."""

    def level(
        image: Tensor, original: Tensor, sensor: SensorModel, depth: int, there: Tensor | None
    ) -> Tensor:
        return restored_level(model, image, original, sensor, depth, there, autocast=autocast)

    def draw(rng: np.random.Generator) -> MeanBatch:
        pair = sampler.draw(rng, level)
        with torch.no_grad():
            mean = model.exits(
                pair.image, pair.reference, mtf=pair.sensor.mtf, depth=pair.depth, autocast=autocast
            )[2]
        mean = held(mean.float(), pair.image, pair.sensor)
        return MeanBatch(pair.image, mean, pair.target, pair.sensor.mtf, pair.depth)

    return draw
