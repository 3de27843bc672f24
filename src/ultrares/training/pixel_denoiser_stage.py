"""Train NeurOp-Diff's own denoiser, which works on pixels: the paper's stage 2."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ultrares.data.continuous_pairs import ContinuousSampler
from ultrares.diffusion import EPS, denoising_loss
from ultrares.methods.grid_prior import SDE, STEPS
from ultrares.methods.saved_operator import PixelDenoiserConfig, build_pixel_denoiser
from ultrares.nets.neural_operator import NeuralOperator
from ultrares.nets.sr3_unet import SR3UNet
from ultrares.nets.wavelet_residual import context_vector
from ultrares.training.execution import Execution
from ultrares.training.phases import Objective, fit_in_phases
from ultrares.training.sections import ContinuousData
from ultrares.training.stages import PixelDenoiserStage
from ultrares.training.start import start_from


@dataclass(frozen=True, eq=False)
class PixelDenoising:
    """What the denoiser is trained on: the true image in [-1, 1], noised, beside the operator's.

    Attributes:
        operator: Frozen.
        sampler: Draws one scale a batch, all places of each crop.
        autocast: Whether to compute in bfloat16.
    """

    operator: NeuralOperator
    sampler: ContinuousSampler
    autocast: bool

    def loss(self, model: nn.Module, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        """The mean squared error of the noise, each crop at a step of its own (paper, Eq. 9)."""
        assert isinstance(model, SR3UNet)
        device = next(model.parameters()).device
        self.operator.to(device)
        pair = self.sampler.draw(rng).to(device)
        context = context_vector(1, mtf=pair.sensor.mtf, depth=0).to(pair.image)
        with torch.no_grad(), self._precision(pair.image):
            prior = self.operator(pair.image, pair.queries, context).float()
        condition = _padded(2 * prior - 1, model.multiple_of)
        clean = _padded(2 * pair.target - 1, model.multiple_of)
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        times = torch.randint(1, STEPS + 1, (len(clean),), generator=generator).double().to(device)
        normal = torch.randn(clean.shape, generator=generator).to(clean)

        def network(noisy: Tensor, at: Tensor) -> Tensor:
            with self._precision(noisy):
                said: Tensor = model(noisy, condition, SDE.signal(at).to(noisy), 1)
            return said.float()

        value = denoising_loss(network, clean, times, normal, SDE, EPS)
        return value, {}

    def _precision(self, like: Tensor) -> torch.autocast:
        return torch.autocast(like.device.type, torch.bfloat16, enabled=self.autocast)


def train_pixel_denoiser(
    operator: NeuralOperator,
    sampler_of: Callable[[ContinuousData], ContinuousSampler],
    config: PixelDenoiserConfig,
    stage: PixelDenoiserStage,
    *,
    folder: Path,
    autocast: bool,
    execution: Execution | None = None,
) -> SR3UNet:
    """Fit the paper's denoiser around a frozen operator.

    Args:
        operator: Frozen.
        sampler_of: Samples a data section; must ask for all places of a crop.
        config: Its size.
        stage: Its schedule, its seed and what it starts from.
        folder: Where checkpoint and log are kept.
        autocast: Whether to compute in bfloat16.
        execution: Where to compute.
    """
    operator.eval().requires_grad_(requires_grad=False)
    torch.manual_seed(stage.seed)
    net = build_pixel_denoiser(config)
    start_from(net, "denoiser", stage.start_from)

    def objective_of(phase: PixelDenoiserStage) -> Objective:
        return Objective(PixelDenoising(operator, sampler_of(phase.data), autocast).loss)

    return fit_in_phases(net, stage, objective_of, folder=folder, execution=execution)


def _padded(image: Tensor, multiple: int) -> Tensor:
    """The image with its last rows and columns repeated up to the next multiple, so that any size can be seen."""
    down, across = (-side % multiple for side in image.shape[-2:])
    return functional.pad(image, (0, across, 0, down), mode="replicate")
