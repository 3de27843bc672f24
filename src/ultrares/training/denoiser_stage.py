"""Train the denoiser of the residual wavelet bands around a frozen conditional mean."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from einops import reduce
from torch import Tensor, nn

from ultrares.backbones.wavelet_residual import WaveletResidualBackbone
from ultrares.data.pairs import PairSampler
from ultrares.diffusion import VP, V, denoising_loss, lognormal_sigmas
from ultrares.methods.residual_bands import ResidualBands, guide_of
from ultrares.nets.denoiser_unet import DenoiserUNet
from ultrares.nets.wavelet_residual import context_vector
from ultrares.sensor.backprojection import back_project
from ultrares.sensor.models import Box, SensorModel
from ultrares.training.backbone_stage import cascade_level
from ultrares.training.loop import optimise
from ultrares.training.recipe import Stage

SDE = VP.cosine()


@dataclass(frozen=True)
class MeanBatch:
    """A batch with what fidelity mode would return for it.

    Attributes:
        image: What the level sees, (B, C, h, w), in [0, 1].
        mean: Its conditional mean, (B, C, 2 * h, 2 * w).
        target: The truth, of the shape of ``mean``.
        mtf: Modulation transfer of the sensor that took the image.
        depth: How many levels of a cascade of means made it.
    """

    image: Tensor
    mean: Tensor
    target: Tensor
    mtf: float
    depth: int


Draw = Callable[[np.random.Generator], MeanBatch]
"""Draws a batch; all randomness comes from the generator."""


def held(mean: Tensor, image: Tensor, sensor: SensorModel) -> Tensor:
    """The mean as inference holds it to its image: exactly, where the sensor is the box."""
    return back_project(mean, image, sensor, 2) if isinstance(sensor, Box) else mean


def means_of_backbone(backbone: WaveletResidualBackbone, sampler: PairSampler) -> Draw:
    """Batches whose mean is Algorithm 1's."""

    def level(image: Tensor, original: Tensor, sensor: SensorModel, depth: int) -> Tensor:
        return cascade_level(backbone, image, original, sensor, depth)

    def draw(rng: np.random.Generator) -> MeanBatch:
        pair = sampler.draw(rng, level)
        with torch.no_grad():
            mean = backbone(pair.image, mtf=pair.sensor.mtf, depth=pair.depth)
        mean = held(mean, pair.image, pair.sensor)
        return MeanBatch(pair.image, mean, pair.target, pair.sensor.mtf, pair.depth)

    return draw


def measure_stds(draw: Draw, *, seed: int, batches: int = 40) -> ResidualBands:
    """Root mean square of each residual band over some batches."""
    plain = ResidualBands((1.0, 1.0, 1.0, 1.0))
    power = torch.zeros(4, dtype=torch.float64)
    for step in range(batches):
        batch = draw(np.random.default_rng((seed, 1, step)))
        residual = plain.encode(batch.target, batch.mean)
        power += reduce(residual.square(), "b (band c) h w -> band", "mean", band=4).double()
    a, v, h, d = (power / batches).sqrt().tolist()
    return ResidualBands((a, v, h, d))


def train_denoiser(
    stage: Stage,
    draw: Draw,
    *,
    folder: Path,
    autocast: bool,
    start: DenoiserUNet | None = None,
) -> tuple[DenoiserUNet, ResidualBands]:
    """Train the network of a recipe's denoiser stage, and measure the scale of what it denoises.

    Args:
        stage: Size and schedule.
        draw: Draws batches with their means.
        folder: Where checkpoint and log are kept.
        autocast: Whether to convolve in bfloat16.
        start: Weights to start from; None for fresh ones.
    """
    torch.manual_seed(stage.seed)
    before, inner, after = stage.net.blocks
    net = start or DenoiserUNet(width=stage.net.width, blocks=(before, inner, after))
    bands = measure_stds(draw, seed=stage.seed)

    def loss(model: nn.Module, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        batch = draw(rng)
        clean = bands.encode(batch.target, batch.mean).contiguous(memory_format=torch.channels_last)
        guide = guide_of(batch.image, batch.mean)
        context = context_vector(len(clean), mtf=batch.mtf, depth=batch.depth)
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        times = SDE.time(lognormal_sigmas(len(clean), generator))
        normal = torch.randn(clean.shape, generator=generator)

        def network(noisy: Tensor, at: Tensor) -> Tensor:
            log_sigma = SDE.sigma(at).log().float()
            with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
                return model(noisy, guide, log_sigma, context).float()

        value = denoising_loss(network, clean, times, normal, SDE, V)
        return value, {f"loss, depth {batch.depth}": value.item()}

    trained = optimise(net, loss, stage.optimiser, folder=folder, seed=stage.seed)
    assert isinstance(trained, DenoiserUNet)
    return trained, bands
