"""Run the stages of a recipe one after the other, resuming whatever was left unfinished."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import numpy as np
import torch

from ultrares.backbones.wavelet_residual import WaveletResidualBackbone
from ultrares.data.tiles import load_tiles
from ultrares.methods.saved import BackboneConfig, DenoiserConfig, Manifest, save_model
from ultrares.training.backbone_stage import train_backbone
from ultrares.training.denoiser_stage import train_denoiser
from ultrares.training.execution import Execution
from ultrares.training.folder import MODEL, Existing, begin
from ultrares.training.loop import require_lightning
from ultrares.training.recipe import DataSection, find_recipe, read_recipe


def train_recipe(
    recipe_path: str | Path,
    data: Path,
    out: Path,
    *,
    existing: Existing = "refuse",
    steps: int | None = None,
    execution: Execution | None = None,
) -> Path:
    """Train a recipe's networks and save them as a model.

    Args:
        recipe_path: TOML recipe, or the name of one that comes with ultrares; a Markdown file of the same
            name beside it becomes the model card.
        data: Folder of rasters, of any size, data type and number of bands.
        out: Folder of checkpoints, logs and, in ``model``, the result.
        existing: What to do with a run that ``out`` holds already.
        steps: The most steps that any stage makes; None for those of the recipe.
        execution: Where to compute; None for one process on the CPU.

    Returns:
        The model's folder, which :func:`ultrares.load` takes.

    Raises:
        UltraresError: The recipe or the data cannot be used, or training is not installed.
        KeyboardInterrupt: The run was interrupted; ``existing="resume"`` goes on from its last checkpoint.
    """
    require_lightning()
    recipe_path = find_recipe(recipe_path)
    recipe = read_recipe(recipe_path)
    if steps is not None:
        recipe = recipe.capped(steps)
    execution = execution or Execution()

    @cache
    def tiles(pattern: str, side: int, *, alpha_is_light: bool) -> np.ndarray:
        return load_tiles(data, pattern, side=side, alpha_is_light=alpha_is_light)

    def tiles_of(section: DataSection) -> np.ndarray:
        return tiles(section.pattern, section.tile, alpha_is_light=section.alpha_is_light)

    for stage in recipe.stages.values():
        # What is wrong with the data is found before anything is written or trained.
        tiles_of(stage.data)
    if is_first_process():
        begin(out, recipe, existing)
    autocast = convolves_in_bfloat16(execution)
    net = train_backbone(
        recipe.backbone,
        tiles_of(recipe.backbone.data),
        folder=out / "backbone",
        autocast=autocast,
        execution=execution,
    )
    backbone = WaveletResidualBackbone(net.eval(), autocast=autocast)
    denoiser, bands = train_denoiser(
        recipe.denoiser,
        backbone,
        tiles_of(recipe.denoiser.data),
        folder=out / "denoiser",
        autocast=autocast,
        execution=execution,
    )
    before, inner, after = recipe.denoiser.net.blocks
    manifest = Manifest(
        name=recipe.name,
        backbone=BackboneConfig(
            kind="wavelet-residual",
            width=recipe.backbone.net.width,
            blocks=recipe.backbone.net.blocks[0],
        ),
        denoiser=DenoiserConfig(
            width=recipe.denoiser.net.width, blocks=(before, inner, after), stds=bands.stds
        ),
        licence=recipe.licence,
        trained_on=recipe.trained_on,
        recipe=recipe_path.name,
    )
    card = recipe_path.with_suffix(".md")
    text = card.read_text() if card.exists() else f"# {recipe.name}\n\n{recipe.trained_on}\n"
    if is_first_process():
        save_model(out / MODEL, manifest, [(net, denoiser)], card=text)
    return out / MODEL


def is_first_process() -> bool:
    """Whether this is the process that writes, of the several that Lightning may have started."""
    return (
        int(os.environ.get("LOCAL_RANK", "0")) == 0 and int(os.environ.get("NODE_RANK", "0")) == 0
    )


def convolves_in_bfloat16(execution: Execution) -> bool:
    """Whether the accelerator is faster in bfloat16 than in single precision."""
    if execution.accelerator == "cpu":
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return torch.cuda.is_available() and torch.cuda.is_bf16_supported()
