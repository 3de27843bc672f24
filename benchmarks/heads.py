"""How many heads the attention to the reference needs: Table 6 of the paper, with pyramids trained alike.

Each pyramid is that of a recipe with another number of heads, trained from fresh weights and with references only
around the recipe's trained backbone, for as many steps and on the same batches; it is kept and not trained again
where its folder exists. All are measured at x8 on tiles of Chico with 2018 as reference, by both kinds of cascade.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from cases import Case, cases
from imagery import command, data_folder, header, row
from scoring import Method, Scorer

import ultrares
from ultrares.api import Model, locate
from ultrares.data.tiles import cut_tiles
from ultrares.methods.cascade import Condition
from ultrares.methods.manifest import PyramidConfig, read_manifest
from ultrares.methods.saved import build_backbone, read_weights, save_model
from ultrares.metrics.fidelity import sre
from ultrares.nets.wavelet_residual import WaveletResidualNet
from ultrares.training.recipe import find_recipe, read_recipe
from ultrares.training.restoration_stage import train_restoration
from ultrares.training.stages import RestorationStage

CONDITIONS: tuple[Condition, ...] = ("reuse", "progressive")


def stage_of(recipe: str, heads: int, steps: int, seed: int) -> RestorationStage:
    """The recipe's restoration, with references always and without high-frequency restoration."""
    found = read_recipe(find_recipe(recipe)).restoration
    assert found is not None, f"{recipe} trains no pyramid"
    assert found.data.references is not None
    changes = {
        "seed": seed,
        "start_from": None,
        "net": found.net.model_copy(update={"heads": heads, "detail_width": 0}),
        "data": found.data.model_copy(
            update={"references": found.data.references.model_copy(update={"offered": 1.0})}
        ),
    }
    return found.model_copy(update=changes).capped(steps)


def trained(model: str, stage: RestorationStage, folder: Path) -> Model:
    """The model with a pyramid of its own."""
    home = locate(model)
    manifest = read_manifest(home)
    if not (folder / "model").is_dir():
        backbone = build_backbone(manifest.backbone)
        assert isinstance(backbone, WaveletResidualNet)
        backbone.load_state_dict(read_weights(home, manifest, "backbone"))
        backbone.requires_grad_(requires_grad=False)
        tiles = cut_tiles(data_folder("naip/train"), alpha_is_light=True)
        restorer = train_restoration(stage, backbone, lambda _: tiles, folder=folder, autocast=True)
        net = stage.net
        told = {
            "pyramid": PyramidConfig(width=net.width, heads=net.heads, blocks=net.blocks),
            "details": None,
            "denoiser": None,
            "backbone_x4": None,
            "effective_pixel": {},
        }
        roles = {"backbone": restorer.backbone, "pyramid": restorer.pyramid}
        save_model(folder / "model", manifest.model_copy(update=told), [roles], card="")
    return ultrares.load(folder / "model")


def method_of(model: Model, condition: Condition) -> Method:
    """Upscale with the reference of 2018."""
    switched = model.with_parts("proposed", condition=condition)

    def method(case: Case) -> np.ndarray:
        return switched.upscale(
            case.coarse, scale=case.scale, sensor=case.sensor.name, reference=case.reference
        )

    return method


def main(
    out: Annotated[Path, typer.Option(help="Where trained pyramids are kept.")],
    heads: Annotated[str, typer.Option(help="Numbers of heads.")] = "8,12,16",
    steps: Annotated[int, typer.Option(help="Training steps of each.")] = 700,
    seeds: Annotated[str, typer.Option(help="Seeds of weights and batches.")] = "20",
    recipe: Annotated[str, typer.Option(help="Recipe.")] = "csp-wavediffur-naip",
    scale: Annotated[int, typer.Option(help="Scale.")] = 8,
    limit: Annotated[int | None, typer.Option(help="Tiles.")] = None,
) -> None:
    """Print a row for each number of heads and kind of cascade."""
    tasks = cases(scale, "bicubic", limit)
    scorer = Scorer(None)
    print(
        f"{recipe}, {steps} steps, x{scale}, {len(tasks)} tiles, {torch.get_num_threads()} threads\n"
    )
    header("cascade", "heads", "seed", "PSNR dB", "SSIM", "LPIPS", "SRE %")
    for seed in map(int, seeds.split(",")):
        for count in map(int, heads.split(",")):
            model = trained(
                recipe,
                stage_of(recipe, count, steps, seed),
                out / f"{recipe}-{count}-{seed}-{steps}",
            )
            for condition in CONDITIONS:
                fine = [method_of(model, condition)(case) for case in tasks]
                scores = [
                    asdict(scorer.compare(one, case, 0.0))
                    for one, case in zip(fine, tasks, strict=True)
                ]
                errors = [sre(one, case.truth) for one, case in zip(fine, tasks, strict=True)]
                psnr, ssim, lpips = (
                    np.mean([score[name] for score in scores]) for name in ("psnr", "ssim", "lpips")
                )
                row(
                    condition, count, seed, f"{psnr:.2f}", f"{ssim:.4f}", f"{lpips:.3f}",
                    f"{np.mean(errors):.2f}",
                )  # fmt: skip


if __name__ == "__main__":
    command(main)
