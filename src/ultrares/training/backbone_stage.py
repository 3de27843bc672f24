"""Train the x2 backbone for its place in a cascade."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ultrares.backbones.wavelet_residual import WaveletResidualBackbone
from ultrares.data.pairs import Pair, PairSampler
from ultrares.nets.wavelet_residual import WaveletResidualNet
from ultrares.sensor.backprojection import back_project
from ultrares.sensor.models import Box, SensorModel, parse_sensor
from ultrares.training.execution import Execution
from ultrares.training.loop import optimise
from ultrares.training.losses import image_loss
from ultrares.training.recipe import DataSection, Stage
from ultrares.training.start import start_from


def pair_sampler(tiles: np.ndarray, settings: DataSection) -> PairSampler:
    """Build the sampler that a recipe's data section describes."""
    return PairSampler(
        tiles,
        sensors={parse_sensor(name): share for name, share in settings.sensors.items()},
        depths=settings.depths,
        crop=settings.crop,
        batch=settings.batch,
        any_bands=settings.any_bands,
        coarser=settings.coarser,
    )


def cascade_level(
    backbone: WaveletResidualBackbone,
    image: Tensor,
    original: Tensor,
    sensor: SensorModel,
    depth: int,
) -> Tensor:
    """One level as inference does it: the backbone, then back-projection onto the original."""
    with torch.no_grad():
        fine = backbone(image, mtf=sensor.mtf, depth=depth)
        return back_project(fine.float(), original, sensor, 2 ** (depth + 1), iterations=1)


def enlarged(image: Tensor) -> Tensor:
    """The bicubic enlargement that an image (B, C, h, w) is compared by, (B, C, 2 * h, 2 * w)."""
    return F.interpolate(image, scale_factor=2, mode="bicubic", antialias=True)


def _psnr(estimate: Tensor, truth: Tensor) -> float:
    return -10 * math.log10(F.mse_loss(estimate, truth).item() + 1e-12)


def train_backbone(
    stage: Stage,
    tiles: np.ndarray,
    *,
    folder: Path,
    autocast: bool,
    execution: Execution | None = None,
) -> WaveletResidualNet:
    """Train the network of a recipe's backbone stage on tiles (N, C, H, W) of unsigned 8-bit."""
    torch.manual_seed(stage.seed)
    net = WaveletResidualNet(width=stage.net.width, blocks=stage.net.blocks[0])
    start_from(net, "backbone", stage.start_from)
    sampler = pair_sampler(tiles, stage.data)

    def estimated(model: nn.Module, rng: np.random.Generator) -> tuple[Pair, Tensor]:
        assert isinstance(model, WaveletResidualNet)
        backbone = WaveletResidualBackbone(model, autocast=autocast)
        device = model.head.weight.device

        def level(image: Tensor, original: Tensor, sensor: SensorModel, depth: int) -> Tensor:
            return cascade_level(backbone, image.to(device), original.to(device), sensor, depth)

        pair = sampler.draw(rng, level).to(device)
        estimate = backbone(pair.image, mtf=pair.sensor.mtf, depth=pair.depth)
        if isinstance(pair.sensor, Box):
            # The projection that inference ends with: the net need not learn what is known.
            estimate = back_project(estimate, pair.image, pair.sensor, 2)
        return pair, estimate

    def loss(model: nn.Module, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        pair, estimate = estimated(model, rng)
        gain = _psnr(estimate.detach(), pair.target) - _psnr(enlarged(pair.image), pair.target)
        name = f"dB over bicubic, {pair.sensor.name}, depth {pair.depth}"
        return image_loss(estimate, pair.target, stage.loss), {name: gain}

    def preview(model: nn.Module, rng: np.random.Generator) -> dict[str, Tensor]:
        pair, estimate = estimated(model, rng)
        return {"input": enlarged(pair.image), "estimate": estimate, "truth": pair.target}

    trained = optimise(
        net,
        loss,
        stage.optimiser,
        folder=folder,
        seed=stage.seed,
        preview=preview,
        execution=execution,
    )
    assert isinstance(trained, WaveletResidualNet)
    return trained
