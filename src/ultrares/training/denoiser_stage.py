"""Train the denoiser of the residual wavelet bands around a frozen backbone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from einops import reduce
from torch import Tensor, nn

from ultrares.backbones.wavelet_residual import WaveletResidualBackbone
from ultrares.data.pairs import Pair, PairSampler
from ultrares.diffusion import VP, V, denoising_loss, lognormal_sigmas
from ultrares.diffusion.denoiser import Network, estimate_clean
from ultrares.methods.residual_bands import ResidualBands, guide_of
from ultrares.nets.denoiser_unet import DenoiserUNet
from ultrares.nets.wavelet_residual import context_vector
from ultrares.sensor.backprojection import back_project
from ultrares.sensor.models import Box, SensorModel
from ultrares.training.backbone_stage import cascade_level, enlarged, pair_sampler
from ultrares.training.execution import Execution
from ultrares.training.loop import optimise
from ultrares.training.recipe import Stage
from ultrares.training.start import start_from

SDE = VP.cosine()

MEASURED_BATCHES = 40


def conditional_mean(backbone: WaveletResidualBackbone, pair: Pair) -> Tensor:
    """What fidelity mode would return for the pair, without gradient."""
    with torch.no_grad():
        mean = backbone(pair.image, mtf=pair.sensor.mtf, depth=pair.depth)
        return (
            back_project(mean, pair.image, pair.sensor, 2) if isinstance(pair.sensor, Box) else mean
        )


def measure_stds(
    backbone: WaveletResidualBackbone,
    sampler: PairSampler,
    *,
    seed: int,
    batches: int = MEASURED_BATCHES,
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


@dataclass(frozen=True, eq=False)
class Denoising:
    """What a denoiser is trained on: the residual of a frozen backbone, noised.

    Attributes:
        backbone: Follows the network in training to its device.
        sampler: Where pairs come from.
        bands: The scale of the residual.
        autocast: Whether to convolve in bfloat16.
    """

    backbone: WaveletResidualBackbone
    sampler: PairSampler
    bands: ResidualBands
    autocast: bool

    def loss(self, model: nn.Module, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        """The paper's L_diff of one batch."""
        pair, mean = self._draw(model, rng)
        clean = self._clean(pair, mean)
        times, normal = _noise(clean, rng)
        network = self._network(model, pair, mean)
        value = denoising_loss(network, clean, times, normal, SDE, V)
        return value, {f"loss, depth {pair.depth}": value.item()}

    def preview(self, model: nn.Module, rng: np.random.Generator) -> dict[str, Tensor]:
        """Pictures of what the network makes of one batch at as many noise levels."""
        pair, mean = self._draw(model, rng)
        clean = self._clean(pair, mean)
        times, normal = _noise(clean, rng)
        at = times[:, None, None, None]
        noisy = SDE.perturb(clean, at, normal)
        output = self._network(model, pair, mean)(noisy, times)
        estimate = self.bands.decode(estimate_clean(output, noisy, at, SDE, V), mean)
        return {"input": enlarged(pair.image), "estimate": estimate, "truth": pair.target}

    def _draw(self, model: nn.Module, rng: np.random.Generator) -> tuple[Pair, Tensor]:
        """A batch and its conditional mean, on the device of the model."""
        device = next(model.parameters(), torch.empty(0)).device
        # Frozen, hence no part of what Lightning moves.
        self.backbone.net.to(device)

        def level(image: Tensor, original: Tensor, sensor: SensorModel, depth: int) -> Tensor:
            return cascade_level(
                self.backbone, image.to(device), original.to(device), sensor, depth
            )

        pair = self.sampler.draw(rng, level).to(device)
        return pair, conditional_mean(self.backbone, pair)

    def _clean(self, pair: Pair, mean: Tensor) -> Tensor:
        clean = self.bands.encode(pair.target, mean)
        return clean.contiguous(memory_format=torch.channels_last)

    def _network(self, model: nn.Module, pair: Pair, mean: Tensor) -> Network:
        """The model with its conditions bound."""
        guide = guide_of(pair.image, mean)
        context = context_vector(len(mean), mtf=pair.sensor.mtf, depth=pair.depth).to(mean)

        def predict(noisy: Tensor, at: Tensor) -> Tensor:
            log_sigma = SDE.sigma(at).log().float().to(mean)
            with torch.autocast(mean.device.type, torch.bfloat16, enabled=self.autocast):
                return model(noisy, guide, log_sigma, context).float()

        return predict


def train_denoiser(
    stage: Stage,
    backbone: WaveletResidualBackbone,
    tiles: np.ndarray,
    *,
    folder: Path,
    autocast: bool,
    execution: Execution | None = None,
) -> tuple[DenoiserUNet, ResidualBands]:
    """Train the network of a recipe's denoiser stage, and measure the scale of what it denoises."""
    torch.manual_seed(stage.seed)
    before, inner, after = stage.net.blocks
    net = DenoiserUNet(width=stage.net.width, blocks=(before, inner, after))
    start_from(net, "denoiser", stage.start_from)
    sampler = pair_sampler(tiles, stage.data)
    # A rehearsal of a few steps need not know the scale better than it is trained.
    batches = min(MEASURED_BATCHES, stage.optimiser.steps)
    bands = measure_stds(backbone, sampler, seed=stage.seed, batches=batches)
    task = Denoising(backbone, sampler, bands, autocast)
    home = backbone.net.head.weight.device
    trained = optimise(
        net,
        task.loss,
        stage.optimiser,
        folder=folder,
        seed=stage.seed,
        preview=task.preview,
        execution=execution,
    )
    backbone.net.to(home)
    assert isinstance(trained, DenoiserUNet)
    return trained, bands


def _noise(clean: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Times (B,) and standard normal noise for a batch; the same numbers on every device."""
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    times = SDE.time(lognormal_sigmas(len(clean), generator))
    normal = torch.randn(clean.shape, generator=generator)
    return times.to(clean.device), normal.to(clean)
