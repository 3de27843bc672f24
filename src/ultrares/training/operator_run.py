"""Run the stages of a NeurOp-Diff recipe."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from ultrares.data.continuous_pairs import ContinuousSampler
from ultrares.data.tiles import Tiles
from ultrares.methods.saved_operator import (
    GridDenoiserConfig,
    OperatorManifest,
    build_operator,
)
from ultrares.sensor.models import parse_sensor
from ultrares.training.execution import Execution
from ultrares.training.grid_denoiser_stage import train_grid_denoiser
from ultrares.training.operator_stage import train_operator
from ultrares.training.pixel_denoiser_stage import train_pixel_denoiser
from ultrares.training.recipe import OperatorRecipe
from ultrares.training.sections import ContinuousData, TilesSection
from ultrares.training.start import start_encoder_from, start_from

UNKNOWN = ((1.0, 1.0, 1.0, 1.0),) * 2
"""Stands in for the size of the residual until it has been measured."""


def train_operator_recipe(
    recipe: OperatorRecipe,
    file: str,
    tiles_of: Callable[[TilesSection], Tiles],
    out: Path,
    execution: Execution,
    *,
    autocast: bool,
) -> tuple[dict[str, nn.Module], OperatorManifest]:
    """Train the operator, then the denoiser around it.

    Args:
        recipe: What to train.
        file: Name of the recipe's file.
        tiles_of: Cuts the tiles of a data section.
        out: Folder of checkpoints and logs.
        execution: Where to compute.
        autocast: Whether to compute in bfloat16.

    Returns:
        The networks by role, and what they are.
    """
    stage = recipe.operator
    config = stage.net
    torch.manual_seed(stage.seed)
    net = build_operator(config)
    start_encoder_from(net.encoder, stage.encoder_from)
    start_from(net, "operator", stage.start_from)

    def sampler_of(data: ContinuousData) -> ContinuousSampler:
        return continuous_sampler(tiles_of(data), data, config.largest)

    net = train_operator(
        net,
        sampler_of,
        stage,
        folder=out / "operator",
        autocast=autocast,
        execution=execution,
    )
    roles: dict[str, nn.Module] = {"operator": net}
    found = None
    if recipe.denoiser is not None:
        around = recipe.denoiser
        before, inner, after = around.net.blocks
        denoiser, features, found = train_grid_denoiser(
            net,
            sampler_of,
            GridDenoiserConfig(
                width=around.net.width,
                blocks=(before, inner, after),
                features=around.features,
                prediction=around.prediction,
                stds=UNKNOWN,
            ),
            around,
            folder=out / "denoiser",
            autocast=autocast,
            execution=execution,
        )
        roles["denoiser"] = denoiser
        if features is not None:
            roles["features"] = features
    if recipe.pixel_denoiser is not None:
        beside = recipe.pixel_denoiser
        roles["denoiser"] = train_pixel_denoiser(
            net,
            sampler_of,
            beside.net,
            beside,
            folder=out / "pixel_denoiser",
            autocast=autocast,
            execution=execution,
        )
    manifest = OperatorManifest(
        name=recipe.name,
        operator=config,
        denoiser=found,
        pixel_denoiser=None if recipe.pixel_denoiser is None else recipe.pixel_denoiser.net,
        licence=recipe.licence,
        trained_on=recipe.trained_on,
        recipe=file,
    )
    # Drawing may have left the frozen operator on another device.
    return {role: trained.cpu() for role, trained in roles.items()}, manifest


def continuous_sampler(tiles: Tiles, data: ContinuousData, largest: float) -> ContinuousSampler:
    """Build the sampler that a recipe's data section describes."""
    return ContinuousSampler(
        tiles.pixels,
        sensors={parse_sensor(name): share for name, share in data.sensors.items()},
        largest=largest,
        crop=data.crop,
        places=data.places,
        truth=data.truth,
        batch=data.batch,
        any_bands=data.any_bands,
        coarser=data.coarser,
    )
