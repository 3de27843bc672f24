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
from dataclasses import dataclass, replace

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from ultrares.diffusion import NoiseField
from ultrares.errors import ModelError
from ultrares.methods.band_groups import group_indices
from ultrares.methods.grid_prior import GridPrior, Guided, NoiseOn
from ultrares.methods.place import Solve
from ultrares.nets.neural_operator import NeuralOperator, Queries
from ultrares.nets.wavelet_residual import context_vector
from ultrares.types import GridCell, NoiseSource, Window

CORE = 256
"""Side of a cell in output pixels; half of it where several draws are computed side by side."""

SAMPLING_MARGIN = 24
"""Output pixels around a cell that its samples see. The denoiser's own reach is farther, but beyond this
distance its influence was measured to vanish in rounding (benchmarks/grid_tiling.py)."""

LEVEL = 100
"""The noise field's level: no cascade has as many."""


@dataclass(frozen=True, eq=False)
class _Carried:
    """A cell's image in groups of bands, the places it is asked for at, and how far their values have come.

    Attributes:
        cell: Whose.
        image: In groups of bands.
        queries: The places.
        values: Behind the layers of these integrals.
        integrals: Of the layers passed.
    """

    cell: GridCell
    image: Tensor
    queries: Queries
    values: Tensor
    integrals: tuple[Tensor, ...] = ()

    def is_on_the_way(self, cell: GridCell, integrals: Sequence[Tensor]) -> bool:
        """Whether what is asked for lies at or after it."""
        known = len(self.integrals)
        return (
            self.cell is cell
            and known <= len(integrals)
            and all(one is other for one, other in zip(self.integrals, integrals, strict=False))
        )


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
        self._last: _Carried | None = None

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
        return self.prior.multiple_of if self.sampled and self.prior is not None else 1

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
        carried = self._carried(cell, integrals)
        with self._precision():
            return self.net.products(
                carried.values, self._on_device(integrals), passed=len(integrals)
            )

    def __call__(self, cell: GridCell, integrals: Sequence[Tensor]) -> Tensor:
        """Return the output pixels, (N, C, H, W): the prior, or a sample a draw."""
        carried = self._carried(cell, integrals)
        queries, values = carried.queries, carried.values
        with self._precision():
            prior = self.net.project(values, carried.image, queries)
        bands = cell.image.shape[1]
        if not self.sampled:
            return _ungrouped(prior.float(), bands, self.net.bands)
        return self._sample(prior.float(), values, cell, 1 / math.sqrt(math.prod(queries.pitch)))

    def _sample(self, prior: Tensor, values: Tensor, cell: GridCell, scale: float) -> Tensor:
        """Reverse diffusion guided by the prior, draw by draw (paper, Eq. 10)."""
        assert self.prior is not None
        images, bands = cell.image.shape[:2]
        groups = len(prior) // images
        scale = min(max(scale, 1.0), self.net.largest)
        # A cascade of samples comes as one image a draw, anything else as a single one.
        draws = []
        for draw in range(self.how.draws):
            mine = slice(0, groups) if images == 1 else slice(draw * groups, (draw + 1) * groups)
            sample = self.prior.draw(
                Guided(prior[mine], values[mine], scale, self.mtf),
                self._noise(cell, draw, groups, prior),
                self.how.steps,
                autocast=self.autocast,
            )
            draws.append(_ungrouped(sample, bands, self.net.bands))
        return torch.cat(draws)

    def _noise(self, cell: GridCell, draw: int, groups: int, like: Tensor) -> NoiseOn:
        """The noise of the output's places, (groups, bands, h / stride, w / stride)."""

        def on(bands: int, stride: int) -> NoiseSource:
            sides = (side // stride for side in like.shape[-2:])
            window = Window(cell.place.row // stride, cell.place.col // stride, *sides)
            field = NoiseField(self.how.seed).source(
                window, draw=draw, level=LEVEL, bands=groups * bands
            )
            return lambda step: rearrange(field(step)[0], "(g c) h w -> g c h w", g=groups).to(like)

        return on

    def _carried(self, cell: GridCell, integrals: Sequence[Tensor]) -> _Carried:
        """The operator's values of a cell behind some layers; the last cell's are kept for the next pass over it."""
        last = self._last
        if last is None or not last.is_on_the_way(cell, integrals):
            image, queries = self._asked(cell)
            with self._precision():
                last = _Carried(cell, image, queries, self._lift(image, queries))
        with self._precision():
            values = self.net.carry(
                last.values, self._on_device(integrals), passed=len(last.integrals)
            )
        self._last = replace(last, values=values, integrals=tuple(integrals))
        return self._last

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
