"""A NeurOp-Diff model on disk: the operator, and the denoiser that it guides."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import nn

from ultrares.diffusion import EPS, X0, Prediction, V
from ultrares.methods.grid_prior import BandGridPrior, GridPrior, PixelGridPrior, ScaledStds
from ultrares.methods.neurop_diff import NeurOpDiff
from ultrares.methods.place import Solve
from ultrares.methods.weights import filled, load_weights, read_config, write_folder
from ultrares.nets.denoiser_unet import DenoiserUNet
from ultrares.nets.neural_operator import NeuralOperator, OperatorSize
from ultrares.nets.sr3_unet import SR3UNet
from ultrares.sensor.models import SensorModel

Net = TypeVar("Net", bound=nn.Module)

PREDICTIONS: Mapping[str, Prediction] = {"eps": EPS, "v": V, "x0": X0}


class _Section(BaseModel):
    # Whoever reads another kind of model need not wait for what checks these.
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class OperatorConfig(_Section):
    """The size of the operator."""

    features: Annotated[int, Field(ge=8)] = 64
    """Channels of the encoder."""
    blocks: Annotated[int, Field(ge=1)] = 16
    """Residual blocks of the encoder."""
    width: Annotated[int, Field(ge=8)] = 256
    """Channels of the operator."""
    heads: Annotated[int, Field(ge=1)] = 16
    """Heads of each kernel integral."""
    layers: Annotated[int, Field(ge=1)] = 2
    """Kernel integrals."""
    slope: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Of the encoder's leaky ReLU; 0 is a ReLU."""
    told: bool = False
    """Whether the encoder is told the sensor's transfer at Nyquist."""
    largest: Annotated[float, Field(gt=1)] = 8.0
    """The largest scale that it was trained for; beyond it the cell is this one's."""

    @model_validator(mode="after")
    def _heads_divide_width(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is no multiple of {self.heads} heads")
        return self


class GridDenoiserConfig(_Section):
    """The size of the denoiser, the scale of what it denoises, and how it is best sampled."""

    width: Annotated[int, Field(ge=8)] = 64
    blocks: tuple[int, int, int] = (2, 3, 2)
    features: Annotated[int, Field(ge=0)] = 8
    """Channels of the operator that it is told beside the image; 0 for the image alone."""
    stds: tuple[tuple[float, float, float, float], ...]
    prediction: Literal["eps", "v", "x0"] = "v"
    sigma_start: float = 3.0
    sigma_end: float = 0.1
    eta: float = 0.7
    steps: int = 4
    widening: Annotated[float, Field(gt=0)] | None = None


class PixelDenoiserConfig(_Section):
    """The size of the paper's U-Net, which works on pixels; the defaults are the paper's."""

    width: Annotated[int, Field(ge=8, multiple_of=2)] = 64
    multipliers: tuple[int, ...] = (1, 2, 2, 4, 4, 8)
    blocks: Annotated[int, Field(ge=1)] = 1
    attention: int | None = 4
    """Which resolution attends to itself, besides the coarsest."""
    groups: Annotated[int, Field(ge=0)] = 32
    steps: Annotated[int, Field(ge=1)] = 50


class OperatorManifest(_Section):
    """Everything about a saved NeurOp-Diff model except its numbers."""

    format: Literal[1] = 1
    name: str
    method: Literal["neurop-diff"] = "neurop-diff"
    operator: OperatorConfig
    denoiser: GridDenoiserConfig | None = None
    pixel_denoiser: PixelDenoiserConfig | None = None
    licence: str
    trained_on: str
    recipe: str | None = None
    parameters: int = 0
    sha256: str | None = None


@dataclass(frozen=True)
class SavedOperator:
    """A manifest and the networks that its weights make.

    Attributes:
        manifest: What the model is.
        net: The operator.
        prior: The denoiser; None if the model has none.
        autocast: Whether to compute in bfloat16.
        device: Where the weights are.
    """

    manifest: OperatorManifest
    net: NeuralOperator
    prior: GridPrior | None
    autocast: bool
    device: str

    def step(self, how: Solve, sensor: SensorModel, *, depth: int = 0) -> NeurOpDiff:
        """The last step to an output grid, for the tiler to drive."""
        return NeurOpDiff(
            self.net,
            how,
            prior=self.prior,
            mtf=sensor.mtf,
            depth=depth,
            autocast=self.autocast,
            device=self.device,
        )


def build_operator(config: OperatorConfig) -> NeuralOperator:
    """The operator, with fresh weights."""
    return NeuralOperator(OperatorSize(**config.model_dump()))


def build_grid_denoiser(config: GridDenoiserConfig) -> DenoiserUNet:
    """The denoiser, with fresh weights."""
    guide = 12 + 4 * config.features
    return DenoiserUNet(bands=12, guide=guide, width=config.width, blocks=config.blocks)


def build_guide(config: GridDenoiserConfig, width: int) -> nn.Linear:
    """What maps the values of an operator of ``width`` channels to features of the denoiser's guide, with fresh weights."""
    return nn.Linear(width, config.features)


def build_pixel_denoiser(config: PixelDenoiserConfig) -> SR3UNet:
    """The paper's U-Net, with fresh weights."""
    return SR3UNet(
        width=config.width,
        multipliers=config.multipliers,
        blocks=config.blocks,
        attention=config.attention,
        groups=config.groups,
    )


def grid_prior(
    config: GridDenoiserConfig, net: DenoiserUNet, features: nn.Linear | None
) -> BandGridPrior:
    """The denoiser as the method uses it."""
    return BandGridPrior(
        net,
        features,
        ScaledStds(config.stds),
        prediction=PREDICTIONS[config.prediction],
        sigma_start=config.sigma_start,
        sigma_end=config.sigma_end,
        eta=config.eta,
        steps=config.steps,
    )


def save_operator(
    folder: Path, manifest: OperatorManifest, nets: Mapping[str, nn.Module], *, card: str
) -> OperatorManifest:
    """Write a model folder, weights in half precision.

    Args:
        folder: Created if needed; existing files are replaced.
        manifest: Description; counts and checksum are filled in here.
        nets: ``operator``, and ``denoiser`` with ``features`` if there is one.
        card: The model card, Markdown.
    """
    return write_folder(folder, manifest, [nets], card=card)


def read_operator_manifest(folder: Path) -> OperatorManifest:
    """Read and check a NeurOp-Diff model's config.json.

    Raises:
        ModelError: The file is missing or not a valid manifest.
    """
    return read_config(folder, OperatorManifest)


def load_operator(folder: Path, *, autocast: bool, device: str = "cpu") -> SavedOperator:
    """Read a NeurOp-Diff model's folder.

    Raises:
        ModelError: A file is missing, or the weights do not match the manifest.
    """
    manifest = read_operator_manifest(folder)
    state = load_weights(folder, manifest.sha256)

    def fill(build: Callable[[], Net], role: str) -> Net:
        return filled(build, state, f"0.{role}.", folder).to(device)

    net = fill(partial(build_operator, manifest.operator), "operator")
    prior: GridPrior | None = None
    if manifest.denoiser is not None:
        config, width = manifest.denoiser, manifest.operator.width
        denoiser = fill(partial(build_grid_denoiser, config), "denoiser")
        guide = fill(partial(build_guide, config, width), "features") if config.features else None
        prior = grid_prior(config, denoiser, guide)
    elif manifest.pixel_denoiser is not None:
        unet = fill(partial(build_pixel_denoiser, manifest.pixel_denoiser), "denoiser")
        prior = PixelGridPrior(unet, manifest.pixel_denoiser.steps)
    return SavedOperator(manifest, net, prior, autocast, torch.device(device).type)
