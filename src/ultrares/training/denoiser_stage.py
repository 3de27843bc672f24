"""Train the denoiser of the residual wavelet bands around a frozen backbone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from einops import reduce
from torch import Tensor, nn

from ultrares.backbones.wavelet_residual import WaveletResidualBackbone
from ultrares.data.pairs import Pair, PairSampler
from ultrares.diffusion import VP, V, denoising_loss, lognormal_sigmas
from ultrares.methods.residual_bands import ResidualBands, guide_of
from ultrares.nets.denoiser_unet import DenoiserUNet
from ultrares.nets.wavelet_residual import context_vector
from ultrares.sensor.backprojection import back_project
from ultrares.sensor.models import Box, SensorModel
from ultrares.training.backbone_stage import cascade_level, pair_sampler
from ultrares.training.loop import optimise
from ultrares.training.recipe import Stage

SDE = VP.cosine()


def conditional_mean(backbone: WaveletResidualBackbone, pair: Pair) -> Tensor:
    """What fidelity mode would return for the pair, without gradient."""
    with torch.no_grad():
        mean = backbone(pair.image, mtf=pair.sensor.mtf, depth=pair.depth)
        return (
            back_project(mean, pair.image, pair.sensor, 2) if isinstance(pair.sensor, Box) else mean
        )


def measure_stds(
    backbone: WaveletResidualBackbone, sampler: PairSampler, *, seed: int, batches: int = 40
) -> ResidualBands:
    """Root mean square of each residual band over some batches."""

    def level(image: Tensor, original: Tensor, sensor: SensorModel, depth: int) -> Tensor:
        return cascade_level(backbone, image, original, sensor, depth)

    plain = ResidualBands((1.0, 1.0, 1.0, 1.0))
    power = torch.zeros(4, dtype=torch.float64)
    for step in range(batches):
        pair = sampler.draw(np.random.default_rng((seed, 1, step)), level)
        residual = plain.encode(pair.target, conditional_mean(backbone, pair))
        power += reduce(residual.square(), "b (band c) h w -> band", "mean", band=4).double()
    a, v, h, d = (power / batches).sqrt().tolist()
    return ResidualBands((a, v, h, d))


def train_denoiser(
    stage: Stage,
    backbone: WaveletResidualBackbone,
    tiles: np.ndarray,
    *,
    folder: Path,
    autocast: bool,
) -> tuple[DenoiserUNet, ResidualBands]:
    """Train the network of a recipe's denoiser stage, and measure the scale of what it denoises."""
    torch.manual_seed(stage.seed)
    before, inner, after = stage.net.blocks
    net = DenoiserUNet(width=stage.net.width, blocks=(before, inner, after))
    sampler = pair_sampler(tiles, stage.data)
    bands = measure_stds(backbone, sampler, seed=stage.seed)

    def level(image: Tensor, original: Tensor, sensor: SensorModel, depth: int) -> Tensor:
        return cascade_level(backbone, image, original, sensor, depth)

    def loss(model: nn.Module, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        pair = sampler.draw(rng, level)
        mean = conditional_mean(backbone, pair)
        clean = bands.encode(pair.target, mean).contiguous(memory_format=torch.channels_last)
        guide = guide_of(pair.image, mean)
        context = context_vector(len(clean), mtf=pair.sensor.mtf, depth=pair.depth)
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        times = SDE.time(lognormal_sigmas(len(clean), generator))
        normal = torch.randn(clean.shape, generator=generator)

        def network(noisy: Tensor, at: Tensor) -> Tensor:
            log_sigma = SDE.sigma(at).log().float()
            with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
                return model(noisy, guide, log_sigma, context).float()

        value = denoising_loss(network, clean, times, normal, SDE, V)
        return value, {f"loss, depth {pair.depth}": value.item()}

    trained = optimise(net, loss, stage.optimiser, folder=folder, seed=stage.seed)
    assert isinstance(trained, DenoiserUNet)
    return trained, bands
