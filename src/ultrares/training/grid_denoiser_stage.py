"""Train the denoiser that a frozen neural operator guides: stage 2 of NeurOp-Diff."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from einops import reduce
from torch import Tensor, nn

from ultrares.data.continuous_pairs import ContinuousPair, ContinuousSampler
from ultrares.diffusion import denoising_loss, lognormal_sigmas
from ultrares.methods.grid_prior import (
    OCTAVES_PER_KNOT,
    SDE,
    BandGridPrior,
    Guided,
    ScaledStds,
    scale_context,
)
from ultrares.methods.residual_bands import ResidualBands
from ultrares.methods.saved_operator import (
    GridDenoiserConfig,
    build_grid_denoiser,
    build_guide,
    grid_prior,
)
from ultrares.nets.denoiser_unet import DenoiserUNet
from ultrares.nets.neural_operator import NeuralOperator
from ultrares.nets.wavelet_residual import context_vector
from ultrares.training.execution import Execution
from ultrares.training.phases import Objective, fit_in_phases
from ultrares.training.sections import ContinuousData
from ultrares.training.stages import GridDenoiserStage
from ultrares.training.start import start_from

MEASURED_BATCHES = 80


class GuidedDenoiser(nn.Module):
    """The denoiser and what maps the operator's values to its guide, which learn together."""

    def __init__(self, config: GridDenoiserConfig, width: int) -> None:
        super().__init__()
        self.denoiser = build_grid_denoiser(config)
        self.features = build_guide(config, width) if config.features else None

    def prior(self, config: GridDenoiserConfig) -> BandGridPrior:
        """The two as the method uses them."""
        return grid_prior(config, self.denoiser, self.features)


@dataclass(frozen=True, eq=False)
class GuidedDenoising:
    """What the denoiser is trained on: the residual of the operator's image, noised.

    Attributes:
        operator: Frozen.
        sampler: Draws one scale a batch, all places of each crop.
        config: The denoiser's.
        autocast: Whether to compute in bfloat16.
    """

    operator: NeuralOperator
    sampler: ContinuousSampler
    config: GridDenoiserConfig
    autocast: bool

    def guided(self, pair: ContinuousPair) -> tuple[Tensor, Tensor]:
        """The operator's image and its last values."""
        context = context_vector(1, mtf=pair.sensor.mtf, depth=0).to(pair.image)
        with torch.no_grad(), self._precision(pair.image):
            image = pair.image.contiguous(memory_format=torch.channels_last)
            values = self.operator.lift(self.operator.encode(image, context), pair.queries)
            values = self.operator.carry(values, self.operator.integrals(values, shared=True))
            prior = self.operator.project(values, image, pair.queries)
        return prior.float(), values

    def loss(self, model: nn.Module, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        """The mean squared error of what the denoiser says, each crop at a noise level of its own."""
        assert isinstance(model, GuidedDenoiser)
        device = model.denoiser.head.weight.device
        self.operator.to(device)
        pair = self.sampler.draw(rng).to(device)
        mean, values = self.guided(pair)
        prior = model.prior(self.config)
        clean = prior.stds.at(pair.scale).encode(pair.target, mean)
        clean = clean.contiguous(memory_format=torch.channels_last)
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        times = SDE.time(lognormal_sigmas(len(clean), generator)).to(device)
        normal = torch.randn(clean.shape, generator=generator).to(clean)
        with self._precision(clean):
            guide = prior.guide(Guided(mean, values, pair.scale, pair.sensor.mtf)).float()
        context = scale_context(pair.sensor.mtf, pair.scale).to(clean).expand(len(clean), -1)

        def network(noisy: Tensor, at: Tensor) -> Tensor:
            log_sigma = SDE.sigma(at).log().float().to(noisy)
            with self._precision(noisy):
                said: Tensor = model.denoiser(noisy, guide, log_sigma, context)
            return said.float()

        value = denoising_loss(network, clean, times, normal, SDE, prior.prediction)
        return value, {f"loss, scale {math.floor(pair.scale)} and up": value.item()}

    def _precision(self, like: Tensor) -> torch.autocast:
        return torch.autocast(like.device.type, torch.bfloat16, enabled=self.autocast)


def measure_scaled_stds(task: GuidedDenoising, *, seed: int, batches: int) -> ScaledStds:
    """The size of each residual band at each knot of the scale, by least squares over some batches."""
    largest = math.log2(task.operator.largest)
    knots = round(largest / OCTAVES_PER_KNOT) + 1
    plain = ResidualBands((1.0, 1.0, 1.0, 1.0))
    weights, powers = [], []
    for step in range(batches):
        pair = task.sampler.draw(np.random.default_rng((seed, 1, step)))
        residual = plain.encode(pair.target, task.guided(pair)[0])
        place = min(math.log2(pair.scale) / OCTAVES_PER_KNOT, knots - 1)
        first = min(int(place), knots - 2)
        row = np.zeros(knots)
        row[first : first + 2] = 1 - (place - first), place - first
        weights.append(row)
        power = reduce(residual.square(), "b (band c) h w -> band", "mean", band=4)
        powers.append(power.sqrt().log().double().numpy())
    # A little of each knot's neighbours, so that one that no batch came near is known too.
    smooth = 0.1 * np.diff(np.eye(knots), axis=0)
    matrix = np.concatenate([np.array(weights), smooth])
    values = np.concatenate([np.array(powers), np.zeros((knots - 1, 4))])
    found = np.exp(np.linalg.lstsq(matrix, values, rcond=None)[0])
    return ScaledStds(tuple((float(a), float(v), float(h), float(d)) for a, v, h, d in found))


def train_grid_denoiser(
    operator: NeuralOperator,
    sampler_of: Callable[[ContinuousData], ContinuousSampler],
    config: GridDenoiserConfig,
    stage: GridDenoiserStage,
    *,
    folder: Path,
    autocast: bool,
    execution: Execution | None = None,
) -> tuple[DenoiserUNet, nn.Linear | None, GridDenoiserConfig]:
    """Fit the denoiser around a frozen operator.

    Args:
        operator: Frozen.
        sampler_of: Samples a data section; must ask for all places of a crop, an even number.
        config: Its size; its ``stds`` are measured and replaced.
        stage: Its schedule, its seed and what it starts from.
        folder: Where checkpoint and log are kept.
        autocast: Whether to compute in bfloat16.
        execution: Where to compute.

    Returns:
        The denoiser, what maps the operator's values to its guide, and its configuration.
    """
    operator.eval().requires_grad_(requires_grad=False)
    torch.manual_seed(stage.seed)
    task = GuidedDenoising(operator, sampler_of(stage.data), config, autocast)
    batches = min(MEASURED_BATCHES, stage.steps)
    config = config.model_copy(
        update={"stds": measure_scaled_stds(task, seed=stage.seed, batches=batches).knots}
    )
    net = GuidedDenoiser(config, operator.width)
    start_from(net.denoiser, "denoiser", stage.start_from)
    if net.features is not None:
        start_from(net.features, "features", stage.start_from)

    def objective_of(phase: GridDenoiserStage) -> Objective:
        return Objective(GuidedDenoising(operator, sampler_of(phase.data), config, autocast).loss)

    net = fit_in_phases(net, stage, objective_of, folder=folder, execution=execution)
    return net.denoiser, net.features, config
