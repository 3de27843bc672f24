"""Run the stages of a recipe one after the other, resuming whatever was left unfinished."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from torch import nn

from ultrares.backbones.wavelet_residual import WaveletResidualBackbone
from ultrares.data.tiles import Tiles, cut_tiles
from ultrares.methods.manifest import (
    BackboneConfig,
    DenoiserConfig,
    DetailsConfig,
    FusionConfig,
    Manifest,
    PyramidConfig,
)
from ultrares.methods.residual_bands import ResidualBands
from ultrares.methods.saved import save_model
from ultrares.methods.saved_operator import save_operator
from ultrares.nets.wavelet_residual import WaveletResidualNet
from ultrares.training.backbone_stage import pair_sampler, train_backbone
from ultrares.training.denoiser_stage import Draw, means_of_backbone, train_denoiser
from ultrares.training.execution import Execution
from ultrares.training.folder import MODEL, Existing, begin
from ultrares.training.fusion_stage import train_fusion
from ultrares.training.loop import require_lightning
from ultrares.training.operator_run import train_operator_recipe
from ultrares.training.recipe import AnyRecipe, OperatorRecipe, Recipe, find_recipe, read_any_recipe
from ultrares.training.restoration_stage import (
    means_of_restorer,
    reference_sampler,
    train_restoration,
)
from ultrares.training.sections import DataSection, TilesSection
from ultrares.training.stages import Stage
from ultrares.training.system_stage import train_system


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
        steps: The most steps that a stage makes each time it trains; None for those of the recipe.
        execution: Where to compute; None for one process on the CPU.

    Returns:
        The model's folder, which :func:`ultrares.load` takes.

    Raises:
        UltraresError: The recipe or the data cannot be used, or training is not installed.
        KeyboardInterrupt: The run was interrupted; ``existing="resume"`` goes on from its last checkpoint.
    """
    require_lightning()
    recipe_path = find_recipe(recipe_path)
    recipe = read_any_recipe(recipe_path)
    if steps is not None:
        recipe = recipe.capped(steps)
    execution = execution or Execution()

    @cache
    def tiles(pattern: str, side: int, *, alpha_is_light: bool) -> Tiles:
        return cut_tiles(data, pattern, side=side, alpha_is_light=alpha_is_light)

    def tiles_of(section: TilesSection) -> Tiles:
        return tiles(section.pattern, section.tile, alpha_is_light=section.alpha_is_light)

    for stage in recipe.stages.values():
        # What is wrong with the data is found before anything is written or trained.
        for phase in stage.phases:
            tiles_of(phase.data)
    if is_first_process():
        begin(out, recipe, existing)
    card = recipe_path.with_suffix(".md")
    text = card.read_text() if card.exists() else f"# {recipe.name}\n\n{recipe.trained_on}\n"
    save = _made(recipe, recipe_path.name, tiles_of, out, execution)
    if is_first_process():
        save(out / MODEL, text)
    return out / MODEL


Save = Callable[[Path, str], object]
"""Writes what was trained to a folder, with a model card."""


def _made(
    recipe: AnyRecipe,
    file: str,
    tiles_of: Callable[[TilesSection], Tiles],
    out: Path,
    execution: Execution,
) -> Save:
    """Train what the recipe asks for."""
    if isinstance(recipe, OperatorRecipe):
        autocast = convolves_in_bfloat16(execution)
        nets, described = train_operator_recipe(
            recipe, file, tiles_of, out, execution, autocast=autocast
        )
        return lambda folder, card: save_operator(folder, described, nets, card=card)
    if isinstance(recipe, Recipe):
        trained = _train(recipe, tiles_of, out, execution)
        made = _manifest(recipe, file, trained.bands)
        return lambda folder, card: save_model(folder, made, [trained.roles], card=card)
    stage = recipe.system
    net = train_system(
        stage,
        tiles_of(stage.data).pixels,
        folder=out / "system",
        autocast=convolves_in_bfloat16(execution),
        execution=execution,
    )
    manifest = Manifest(
        name=recipe.name,
        backbone=BackboneConfig(kind=stage.kind, settings=stage.resolved),
        licence=recipe.licence,
        trained_on=recipe.trained_on,
        recipe=file,
    )
    roles = {"backbone": net.cpu()}
    return lambda folder, card: save_model(folder, manifest, [roles], card=card)


@dataclass(frozen=True)
class _Trained:
    """Networks by role, and the scale of what the denoiser denoises."""

    roles: dict[str, nn.Module]
    bands: ResidualBands


def _train(
    recipe: Recipe, tiles_of: Callable[[TilesSection], Tiles], out: Path, execution: Execution
) -> _Trained:
    """Run the stages one after the other, each around what the ones before it made."""
    autocast = convolves_in_bfloat16(execution)
    net = train_backbone(
        recipe.backbone,
        tiles_of,
        folder=out / "backbone",
        autocast=autocast,
        execution=execution,
    )
    roles: dict[str, nn.Module] = {"backbone": net.eval()}
    if recipe.restoration is None:
        backbone = WaveletResidualBackbone(net, autocast=autocast)

        def drawn_from(data: DataSection) -> Draw:
            return means_of_backbone(backbone, pair_sampler(tiles_of(data).pixels, data))

    else:
        restorer = train_restoration(
            recipe.restoration,
            net,
            tiles_of,
            folder=out / "restoration",
            autocast=autocast,
            execution=execution,
        ).eval()
        roles = {"backbone": restorer.backbone, "pyramid": restorer.pyramid}
        if restorer.details is not None:
            roles["details"] = restorer.details

        def drawn_from(data: DataSection) -> Draw:
            return means_of_restorer(restorer, reference_sampler(tiles_of(data), data))

    if recipe.fusion is not None:
        roles["fusion"] = train_fusion(
            recipe.fusion,
            tiles_of,
            folder=out / "fusion",
            autocast=autocast,
            execution=execution,
        ).eval()
    if recipe.backbone_x4 is not None:
        before = roles["backbone"]
        assert isinstance(before, WaveletResidualNet)
        roles["backbone_x4"] = train_backbone(
            recipe.backbone_x4,
            tiles_of,
            folder=out / "backbone_x4",
            autocast=autocast,
            execution=execution,
            before=before,
        ).eval()
    denoiser, bands = train_denoiser(
        recipe.denoiser, drawn_from, folder=out / "denoiser", autocast=autocast, execution=execution
    )
    # Drawing may have left the frozen networks on another device.
    roles = {role: trained.cpu() for role, trained in roles.items()}
    return _Trained({**roles, "denoiser": denoiser}, bands)


def _manifest(recipe: Recipe, file: str, bands: ResidualBands) -> Manifest:
    before, inner, after = recipe.denoiser.net.blocks
    sizes = recipe.restoration.net if recipe.restoration else None
    return Manifest(
        name=recipe.name,
        method="csp-wavediffur" if sizes else "wavediffur",
        backbone=_backbone(recipe.backbone),
        backbone_x4=None if recipe.backbone_x4 is None else _backbone(recipe.backbone_x4),
        fusion=_fusion(recipe),
        pyramid=PyramidConfig(width=sizes.width, heads=sizes.heads, blocks=sizes.blocks)
        if sizes
        else None,
        details=_details(recipe),
        denoiser=DenoiserConfig(
            width=recipe.denoiser.net.width, blocks=(before, inner, after), stds=bands.stds
        ),
        licence=recipe.licence,
        trained_on=recipe.trained_on,
        recipe=file,
    )


def _backbone(stage: Stage) -> BackboneConfig:
    (blocks,) = stage.net.blocks
    return BackboneConfig(kind="wavelet-residual", width=stage.net.width, blocks=blocks)


def _fusion(recipe: Recipe) -> FusionConfig | None:
    stage = recipe.fusion
    if stage is None:
        return None
    ratios = {ratio for phase in stage.phases for ratio in phase.data.ratios}
    return FusionConfig(width=stage.net.width, ratios=tuple(sorted(ratios)))


def _details(recipe: Recipe) -> DetailsConfig | None:
    stage = recipe.restoration
    if stage is None or not stage.net.detail_width:
        return None
    return DetailsConfig(
        width=stage.net.detail_width, heads=stage.net.detail_heads, used=stage.details
    )


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
