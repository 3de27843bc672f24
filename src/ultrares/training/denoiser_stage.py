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
from ultrares.diffusion.denoiser import Network, estimate_clean
from ultrares.methods.residual_bands import ResidualBands, guide_of
from ultrares.nets.denoiser_unet import DenoiserUNet
from ultrares.nets.wavelet_residual import context_vector
from ultrares.sensor.backprojection import back_project
from ultrares.sensor.models import Box, SensorModel
from ultrares.training.backbone_stage import cascade_level, enlarged
from ultrares.training.execution import Execution
from ultrares.training.phases import Objective, fit_in_phases
from ultrares.training.sections import DataSection
from ultrares.training.stages import DenoiserStage
from ultrares.training.start import start_from

SDE = VP.cosine()

MEASURED_BATCHES = 40


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


Draw = Callable[[np.random.Generator, torch.device], MeanBatch]
"""Draws a batch onto a device; all randomness comes from the generator."""


def held(mean: Tensor, image: Tensor, sensor: SensorModel) -> Tensor:
    """The mean as inference holds it to its image: exactly, where the sensor is the box."""
    return back_project(mean, image, sensor, 2) if isinstance(sensor, Box) else mean


def means_of_backbone(backbone: WaveletResidualBackbone, sampler: PairSampler) -> Draw:
    """Batches whose mean is Algorithm 1's."""

    def draw(rng: np.random.Generator, device: torch.device) -> MeanBatch:
        # Frozen, hence no part of what Lightning moves.
        backbone.net.to(device)

        def level(image: Tensor, original: Tensor, sensor: SensorModel, depth: int) -> Tensor:
            return cascade_level(backbone, image.to(device), original.to(device), sensor, depth)

        pair = sampler.draw(rng, level).to(device)
        with torch.no_grad():
            mean = backbone(pair.image, mtf=pair.sensor.mtf, depth=pair.depth)
        mean = held(mean, pair.image, pair.sensor)
        return MeanBatch(pair.image, mean, pair.target, pair.sensor.mtf, pair.depth)

    return draw


def measure_stds(draw: Draw, *, seed: int, batches: int = MEASURED_BATCHES) -> ResidualBands:
    """Root mean square of each residual band over some batches."""
    plain = ResidualBands((1.0, 1.0, 1.0, 1.0))
    power = torch.zeros(4, dtype=torch.float64)
    for step in range(batches):
        batch = draw(np.random.default_rng((seed, 1, step)), torch.device("cpu"))
        residual = plain.encode(batch.target, batch.mean)
        power += reduce(residual.square(), "b (band c) h w -> band", "mean", band=4).double()
    a, v, h, d = (power / batches).sqrt().tolist()
    return ResidualBands((a, v, h, d))


@dataclass(frozen=True, eq=False)
class Denoising:
    """What a denoiser is trained on: the residual of a frozen mean, noised.

    Attributes:
        draw: Where batches come from.
        bands: The scale of the residual.
        autocast: Whether to convolve in bfloat16.
    """

    draw: Draw
    bands: ResidualBands
    autocast: bool

    def loss(self, model: nn.Module, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        """The paper's L_diff of one batch."""
        batch = self.draw(rng, _device(model))
        clean = self._clean(batch)
        times, normal = _noise(clean, rng)
        value = denoising_loss(self._network(model, batch), clean, times, normal, SDE, V)
        return value, {f"loss, depth {batch.depth}": value.item()}

    def preview(self, model: nn.Module, rng: np.random.Generator) -> dict[str, Tensor]:
        """Pictures of what the network makes of one batch at as many noise levels."""
        batch = self.draw(rng, _device(model))
        clean = self._clean(batch)
        times, normal = _noise(clean, rng)
        at = times[:, None, None, None]
        noisy = SDE.perturb(clean, at, normal)
        output = self._network(model, batch)(noisy, times)
        estimate = self.bands.decode(estimate_clean(output, noisy, at, SDE, V), batch.mean)
        return {"input": enlarged(batch.image), "estimate": estimate, "truth": batch.target}

    def _clean(self, batch: MeanBatch) -> Tensor:
        clean = self.bands.encode(batch.target, batch.mean)
        return clean.contiguous(memory_format=torch.channels_last)

    def _network(self, model: nn.Module, batch: MeanBatch) -> Network:
        """The model with its conditions bound."""
        mean = batch.mean
        guide = guide_of(batch.image, mean)
        context = context_vector(len(mean), mtf=batch.mtf, depth=batch.depth).to(mean)

        def predict(noisy: Tensor, at: Tensor) -> Tensor:
            log_sigma = SDE.sigma(at).log().float().to(mean)
            with torch.autocast(mean.device.type, torch.bfloat16, enabled=self.autocast):
                return model(noisy, guide, log_sigma, context).float()

        return predict


def train_denoiser(
    stage: DenoiserStage,
    drawn_from: Callable[[DataSection], Draw],
    *,
    folder: Path,
    autocast: bool,
    execution: Execution | None = None,
) -> tuple[DenoiserUNet, ResidualBands]:
    """Train the network of a recipe's denoiser stage, and measure the scale of what it denoises.

    Args:
        stage: Size, schedule, and what the weights start from.
        drawn_from: Draws batches of a data section, with their conditional means.
        folder: Where checkpoint, log and previews are kept.
        autocast: Whether to convolve in bfloat16.
        execution: Where to compute.
    """
    torch.manual_seed(stage.seed)
    before, inner, after = stage.net.blocks
    net = DenoiserUNet(width=stage.net.width, blocks=(before, inner, after))
    start_from(net, "denoiser", stage.start_from)
    # A rehearsal of a few steps need not know the scale better than it is trained.
    batches = min(MEASURED_BATCHES, stage.steps)
    bands = measure_stds(drawn_from(stage.data), seed=stage.seed, batches=batches)

    def objective_of(phase: DenoiserStage) -> Objective:
        task = Denoising(drawn_from(phase.data), bands, autocast)
        return Objective(task.loss, task.preview)

    net = fit_in_phases(net, stage, objective_of, folder=folder, execution=execution)
    return net, bands


def _device(model: nn.Module) -> torch.device:
    return next(model.parameters(), torch.empty(0)).device


def _noise(clean: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Times (B,) and standard normal noise for a batch; the same numbers on every device."""
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    times = SDE.time(lognormal_sigmas(len(clean), generator))
    normal = torch.randn(clean.shape, generator=generator)
    return times.to(clean.device), normal.to(clean)
