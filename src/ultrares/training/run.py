"""Run the stages of a recipe one after the other, resuming whatever was left unfinished."""

from __future__ import annotations

from pathlib import Path

import torch

from ultrares.backbones.wavelet_residual import WaveletResidualBackbone
from ultrares.data.tiles import load_tiles
from ultrares.errors import RasterError
from ultrares.methods.saved import BackboneConfig, DenoiserConfig, Manifest, save_model
from ultrares.training.backbone_stage import pair_sampler, train_backbone
from ultrares.training.denoiser_stage import means_of_backbone, train_denoiser
from ultrares.training.recipe import read_recipe


def train_recipe(recipe_path: Path, data: Path, out: Path) -> Path:
    """Train a recipe's backbone and denoiser and save them as a model.

    Args:
        recipe_path: TOML recipe; a Markdown file of the same name beside it becomes the model card.
        data: Folder of tiles, unsigned 8-bit, three bands or more.
        out: Folder of checkpoints, logs and, in ``model``, the result.

    Returns:
        The model's folder, which :func:`ultrares.load` takes.

    Raises:
        UltraresError: The recipe or the data cannot be used.
    """
    recipe = read_recipe(recipe_path)
    tiles = load_tiles(data, recipe.backbone.data.pattern)
    if tiles.dtype != "uint8" or tiles.shape[1] < 3:
        raise RasterError(
            f"{data}: tiles must be unsigned 8-bit with three bands or more, "
            f"found {tiles.dtype} with {tiles.shape[1]}"
        )
    autocast = bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    net = train_backbone(recipe.backbone, tiles, folder=out / "backbone", autocast=autocast)
    backbone = WaveletResidualBackbone(net.eval(), autocast=autocast)
    draw = means_of_backbone(backbone, pair_sampler(tiles, recipe.denoiser.data))
    denoiser, bands = train_denoiser(
        recipe.denoiser, draw, folder=out / "denoiser", autocast=autocast
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
    save_model(out / "model", manifest, [{"backbone": net, "denoiser": denoiser}], card=text)
    return out / "model"
