"""NeurOp-Diff (arXiv 2501.09054): continuous-scale diffusion guided by a neural operator.

1. The operator turns the image into a prior at any place asked for: encode, lift, two kernel integrals,
   project (paper, 3.1; :mod:`ultrares.nets.neural_operator`). Its integrals are sums over the whole output;
   they are gathered beforehand and handed in, so that a tile is what the whole would be.
2. A denoiser, told the prior, its features and the noise level, carries noise to a sample (3.2): DDIM on
   the linear schedule of 2000 steps.

Fidelity mode returns the prior. Where the paper is open we follow docs/decisions/0007-neurop-diff.md: what
diffuses is the residual around the prior, in standardised wavelet bands, so a few steps are enough.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from einops import rearrange
from torch import Tensor, nn

from ultrares.diffusion import (
    VP,
    NoiseField,
    Prediction,
    V,
    ddim,
    denoiser,
    linear_betas,
    log_sigmas,
)
from ultrares.errors import ModelError
from ultrares.methods.band_groups import group_indices
from ultrares.methods.place import Solve
from ultrares.methods.residual_bands import ResidualBands, scaled_bands
from ultrares.methods.sampling import START_STEP
from ultrares.nets.denoiser_unet import DenoiserUNet
from ultrares.nets.neural_operator import NeuralOperator, Queries
from ultrares.nets.wavelet_residual import context_vector
from ultrares.types import Denoiser, GridCell, NoiseSource, Window

STEPS = 2000
SDE = VP.discrete(linear_betas(STEPS, 1e-6, 1e-2))
"""The paper's schedule; whole times are its steps."""

OCTAVES_PER_KNOT = 0.5
"""Distance of the scales that the residual's size is known at."""

CORE = 256
"""Side of a cell in output pixels; half of it where several draws are computed side by side."""

SAMPLING_MARGIN = 24
"""Output pixels around a cell that its samples see. The denoiser's own reach is farther, but beyond this
distance its influence was measured to vanish in rounding (benchmarks/continuous.py)."""

LEVEL = 100
"""The noise field's level: no cascade has as many."""


@dataclass(frozen=True)
class ScaledStds:
    """Standard deviations of the residual's bands, which grow with the scale.

    Attributes:
        knots: For scales 1, 2^0.5, 2, ...: those of A, V, H and D.
    """

    knots: tuple[tuple[float, float, float, float], ...]

    def at(self, scale: float) -> ResidualBands:
        """The residual's scale, interpolated in the logarithm; constant beyond the last knot."""
        place = min(math.log2(scale) / OCTAVES_PER_KNOT, len(self.knots) - 1)
        first = min(int(place), len(self.knots) - 2)
        share = place - first
        a, v, h, d = (
            low ** (1 - share) * high**share
            for low, high in zip(self.knots[first], self.knots[first + 1], strict=True)
        )
        return ResidualBands((a, v, h, d))


@dataclass(frozen=True)
class GridPrior:
    """What a trained denoiser knows of what the operator's image lacks.

    Attributes:
        net: Predicts from noised standardised bands, guided.
        features: Maps the operator's values to the guide's further channels; None for the image alone,
            as the paper's released code does.
        stds: Scale of the residual.
        prediction: What ``net`` was trained to say.
        sigma_start: Ratio of noise to signal that sampling starts from.
        sigma_end: Ratio of the last call, whose clean estimate is the sample.
        eta: Share of the ancestral noise that each step puts back.
        steps: Denoiser calls when the caller does not say.
    """

    net: DenoiserUNet
    features: nn.Linear | None
    stds: ScaledStds
    prediction: Prediction = V
    sigma_start: float = 3.0
    sigma_end: float = 0.1
    eta: float = 0.7
    steps: int = 4

    def times(self, steps: int) -> Tensor:
        """Falling times of ``steps`` denoiser calls, ending in 0, shape (steps + 1,)."""
        return SDE.time(log_sigmas(self.sigma_start, self.sigma_end, steps))

    def guide(self, prior: Tensor, values: Tensor) -> Tensor:
        """What the denoiser is told, (B, G, h / 2, w / 2).

        Args:
            prior: The operator's image, (B, 3, h, w), h and w even.
            values: The operator's last values, (B, h * w, width).
        """
        told = scaled_bands(prior)
        if self.features is None:
            return told
        maps = rearrange(self.features(values), "b (h w) c -> b c h w", h=prior.shape[-2])
        return torch.cat([told, nn.functional.pixel_unshuffle(maps, 2).to(told.dtype)], dim=1)

    def denoise(self, guide: Tensor, *, mtf: float, scale: float, autocast: bool) -> Denoiser:
        """Bind the net to its guide."""

        def network(noisy: Tensor, times: Tensor) -> Tensor:
            log_sigma = SDE.sigma(float(times[0])).log().float().to(noisy)[None]
            context = scale_context(mtf, scale).to(noisy)
            noisy = noisy.contiguous(memory_format=torch.channels_last)
            with torch.autocast(noisy.device.type, torch.bfloat16, enabled=autocast):
                said = self.net(noisy, guide.expand(len(noisy), -1, -1, -1), log_sigma, context)
            return said.float()

        return denoiser(network, SDE, self.prediction)


def scale_context(mtf: float, scale: float) -> Tensor:
    """The two scalars the denoiser is told beside the noise level, shape (1, 2)."""
    return torch.tensor([[2 * mtf - 1, math.log2(scale) / 3]])


class NeurOpDiff:
    """The last step to an output grid, by a neural operator and the diffusion it guides.

    Args:
        net: The operator.
        how: Mode, seed, draws and steps.
        prior: The denoiser; None leaves fidelity mode only.
        mtf: Modulation transfer at Nyquist of the sensor that took the image.
        depth: How many levels of a cascade of means made the image.
        autocast: Whether to compute in bfloat16.
        device: Where the weights are; images are brought there.
    """

    def __init__(
        self,
        net: NeuralOperator,
        how: Solve,
        *,
        prior: GridPrior | None = None,
        mtf: float = 0.5,
        depth: int = 0,
        autocast: bool = False,
        device: str = "cpu",
    ) -> None:
        if how.mode == "perceptual" and prior is None:
            raise ModelError(
                "the model has no denoiser and cannot draw samples; use --mode fidelity"
            )
        self.net, self.how, self.prior = net, how, prior
        self.mtf, self.depth, self.autocast, self.device = mtf, depth, autocast, device

    @property
    def sampled(self) -> bool:
        """Whether samples are drawn around the operator's image."""
        return self.how.mode == "perceptual"

    @property
    def halo(self) -> int:
        """Input pixels of context: what the encoder sees."""
        return self.net.halo

    @property
    def margin(self) -> int:
        """Output pixels of context: what the denoiser sees."""
        return SAMPLING_MARGIN if self.sampled else 0

    @property
    def multiple_of(self) -> int:
        """Whole blocks of the wavelet transform and of the denoiser's own reduction."""
        return 4 if self.sampled else 1

    @property
    def core(self) -> int:
        """Side of the square of output pixels that is computed at once."""
        return CORE // 2 if self.sampled and self.how.draws > 2 else CORE

    @property
    def passes(self) -> int:
        """The kernel integrals, one a layer."""
        return len(self.net.layers)

    def products(self, cell: GridCell, integrals: Sequence[Tensor]) -> Tensor:
        """What the cell's places add to the next integral, (B, heads, d, d), B images times band groups."""
        image, queries = self._asked(cell)
        with self._precision():
            return self.net.products(self._lift(image, queries), self._on_device(integrals))

    def __call__(self, cell: GridCell, integrals: Sequence[Tensor]) -> Tensor:
        """Return the output pixels, (N, C, H, W): the prior, or a sample a draw."""
        image, queries = self._asked(cell)
        with self._precision():
            values = self.net.carry(self._lift(image, queries), self._on_device(integrals))
            prior = self.net.project(values, image, queries)
        bands = cell.image.shape[1]
        if not self.sampled:
            return _ungrouped(prior.float(), bands, self.net.bands)
        return self._sample(prior.float(), values, cell, 1 / math.sqrt(math.prod(queries.pitch)))

    def _sample(self, prior: Tensor, values: Tensor, cell: GridCell, scale: float) -> Tensor:
        """Reverse diffusion of the residual around the prior, draw by draw (paper, Eq. 10)."""
        assert self.prior is not None
        images, bands = cell.image.shape[:2]
        groups = len(prior) // images
        with self._precision():
            guide = self.prior.guide(prior, values).float()
        stds = self.prior.stds.at(min(max(scale, 1.0), self.net.largest))
        # A cascade of samples comes as one image a draw, anything else as a single one.
        draws = []
        for draw in range(self.how.draws):
            mine = slice(0, groups) if images == 1 else slice(draw * groups, (draw + 1) * groups)
            noise = self._noise(cell, guide, draw, groups)
            residual = ddim(
                self.prior.denoise(guide[mine], mtf=self.mtf, scale=scale, autocast=self.autocast),
                noise(START_STEP),
                self.prior.times(self.how.steps or self.prior.steps),
                SDE,
                noise,
                eta=self.prior.eta,
            )
            draws.append(_ungrouped(stds.decode(residual, prior[mine]), bands, self.net.bands))
        return torch.cat(draws)

    def _noise(self, cell: GridCell, guide: Tensor, draw: int, groups: int) -> NoiseSource:
        """The noise of the output's places, (groups, 4 * 3, h / 2, w / 2)."""
        window = Window(cell.place.row // 2, cell.place.col // 2, *guide.shape[-2:])
        field = NoiseField(self.how.seed).source(
            window, draw=draw, level=LEVEL, bands=groups * 4 * self.net.bands
        )
        return lambda step: rearrange(field(step)[0], "(g c) h w -> g c h w", g=groups).to(guide)

    def _asked(self, cell: GridCell) -> tuple[Tensor, Queries]:
        """The cell's image in groups of bands, and the centres of its output pixels."""
        image = cell.image.to(self.device)
        index = group_indices(image.shape[1], self.net.bands).to(image.device)
        grouped = rearrange(image[:, index], "b g s h w -> (b g) s h w")
        rows, cols = (
            torch.from_numpy((edges[:-1] + edges[1:]) / 2) for edges in (cell.rows, cell.cols)
        )
        pitch = tuple(float(np.mean(np.diff(edges))) for edges in (cell.rows, cell.cols))
        return grouped, Queries(rows, cols, (pitch[0], pitch[1]))

    def _lift(self, image: Tensor, queries: Queries) -> Tensor:
        context = context_vector(1, mtf=self.mtf, depth=self.depth).to(image)
        image = image.contiguous(memory_format=torch.channels_last)
        return self.net.lift(self.net.encode(image, context), queries)

    def _on_device(self, integrals: Sequence[Tensor]) -> list[Tensor]:
        return [integral.to(self.device) for integral in integrals]

    def _precision(self) -> torch.autocast:
        return torch.autocast(torch.device(self.device).type, torch.bfloat16, enabled=self.autocast)


def _ungrouped(image: Tensor, bands: int, size: int) -> Tensor:
    """Groups of bands (N * groups, size, h, w) as the images they came from, (N, bands, h, w)."""
    groups = -(-bands // size)
    return rearrange(image, "(b g) s h w -> b (g s) h w", g=groups)[:, :bands]
