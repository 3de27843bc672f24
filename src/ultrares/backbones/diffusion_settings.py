"""The processes of the diffusion systems as settings: what diffuses, how fast, and how it is sampled."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Literal

from pydantic import Field, model_validator
from torch import Tensor

from ultrares.backbones.system import SystemSettings
from ultrares.diffusion import (
    EPS,
    SDE,
    VP,
    X0,
    MeanReverting,
    Prediction,
    Solver,
    V,
    ddim,
    dpmpp_2m,
    ir_sde_posterior,
    linear_betas,
    log_sigmas,
    reverse_euler,
    uniform_times,
)

Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]

IR_SDE_SOLVERS: dict[str, Solver] = {
    "posterior": ir_sde_posterior,
    "euler-maruyama": reverse_euler,
    "dpm++": dpmpp_2m,
}
PREDICTIONS: dict[str, Prediction] = {"noise": EPS, "velocity": V, "clean": X0}


class DiffusionSettings(SystemSettings):
    """What every diffusion system is saved with."""

    mean: Literal["bicubic"] = "bicubic"
    """How the image is enlarged that conditions, and that residuals or means are taken from."""
    predicts: Literal["noise", "velocity", "clean"] = "noise"
    """What the network says."""
    steps: Count
    """Network calls of a draw."""
    clock: Count
    """T, the number of forward steps."""
    sigmas: tuple[Positive, Positive] | None = None
    """Ratios of noise to signal of the first and the last call, in standard coordinates, with equal factors
    between; None for equal steps of the clock. Training draws its times around them, too."""

    @model_validator(mode="after")
    def _samples_no_finer_than_trained(self) -> DiffusionSettings:
        if self.steps > self.clock:
            raise ValueError(f"steps is {self.steps}, but the clock has {self.clock} steps only")
        return self

    def times(self, sde: SDE) -> Tensor:
        """Falling times of the network's calls, ending in 0, shape (steps + 1,)."""
        if self.sigmas is None:
            return uniform_times(sde.end, self.steps)
        return sde.time(sde.lam * log_sigmas(*self.sigmas, self.steps))

    @property
    def prediction(self) -> Prediction:
        """The predicted quantity."""
        return PREDICTIONS[self.predicts]


class VPSettings(DiffusionSettings):
    """A DDPM with linear betas, of the image itself or of what the enlargement lacks."""

    betas: tuple[Positive, Positive]
    """The first and the last variance."""
    eta: Annotated[float, Field(ge=0, le=1)]
    """Share of the ancestral noise that each step puts back: 1 is DDPM's sampler, 0 is DDIM's."""
    residual: tuple[Positive, ...] | None = None
    """Standard deviation of the residual at each of the scales, in whose units it then diffuses; None for the
    image itself."""
    sampler: Literal["ddim", "dpm++"] = "ddim"
    """How the way back is taken; DPM-Solver++ 2M keeps the variance best in few steps, and asks no eta."""

    @model_validator(mode="after")
    def _has_a_residual_for_each_scale(self) -> VPSettings:
        if self.residual is not None and len(self.residual) != len(self.scales):
            raise ValueError(
                f"residual lists {len(self.residual)} deviations for {len(self.scales)} scales"
            )
        return self

    def process(self, enlarged: Tensor) -> SDE:
        """The forward process; it does not depend on the image."""
        del enlarged
        return VP.discrete(linear_betas(self.clock, *self.betas))

    @property
    def solver(self) -> Solver:
        """DDIM with its share of ancestral noise, or DPM-Solver++."""
        return partial(ddim, eta=self.eta) if self.sampler == "ddim" else dpmpp_2m

    @property
    def clip(self) -> tuple[float, float] | None:
        """The range of a clean image; a residual has none."""
        return (-1.0, 1.0) if self.residual is None else None

    def encode(self, fine: Tensor, enlarged: Tensor, scale: int) -> Tensor:
        """The clean state of an image in [0, 1]."""
        if self.residual is None:
            return 2 * fine - 1
        return (fine - enlarged) / self.residual[self.scales.index(scale)]

    def decode(self, state: Tensor, enlarged: Tensor, scale: int) -> Tensor:
        """The image of a clean state."""
        if self.residual is None:
            return (state + 1) / 2
        return enlarged + self.residual[self.scales.index(scale)] * state


class MeanRevertingSettings(DiffusionSettings):
    """The IR-SDE of the image in [0, 1] around its enlargement, on the cosine clock."""

    clock: Count = 100
    lam: Positive
    """Standard deviation of the noise around the enlargement in the end."""
    eps: Annotated[float, Field(gt=0, lt=1)] = 0.005
    """Share of the clean residual that is left in the end."""
    sampler: Literal["posterior", "euler-maruyama", "dpm++"] = "posterior"
    """How the way back is taken; DPM-Solver++ 2M keeps the variance best in few steps."""
    likelihood: bool = True
    """Whether it was trained by the maximum-likelihood objective of the paper, or by plain denoising."""

    def process(self, enlarged: Tensor) -> SDE:
        """The forward process towards the enlargement."""
        return MeanReverting.cosine(enlarged, self.lam, steps=self.clock, eps=self.eps)

    @property
    def solver(self) -> Solver:
        """The paper's posterior sampler, Euler-Maruyama's, or DPM-Solver++."""
        return IR_SDE_SOLVERS[self.sampler]

    @property
    def clip(self) -> None:
        """No range: the process has no fixed one."""
        return

    def encode(self, fine: Tensor, enlarged: Tensor, scale: int) -> Tensor:
        """The image itself."""
        del enlarged, scale
        return fine

    def decode(self, state: Tensor, enlarged: Tensor, scale: int) -> Tensor:
        """The state itself."""
        del enlarged, scale
        return state
