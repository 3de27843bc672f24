"""A whole process at x4 for 256 x 256 pixels: NeurOp-Diff as the paper has it, and ours.

The paper's configuration is its operator and its U-Net on pixels with 50 steps of DDIM in float32, with fresh
weights: what they are does not change the time. Ours is the model as it comes, a sample and the mean. The seconds
are those of the command `ultrares upscale`, the start of Python and torch with it; ours, which are short, are the median
of some runs.
"""

from __future__ import annotations

import os
import statistics
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from imagery import command, header, row, tiles, write_scene
from scale import run

from ultrares.catalogue import RESIDUAL_MODEL
from ultrares.methods.saved_operator import (
    OperatorConfig,
    OperatorManifest,
    PixelDenoiserConfig,
    build_operator,
    build_pixel_denoiser,
    save_operator,
)


def paper(folder: Path, steps: int) -> None:
    """Write the paper's configuration with fresh weights."""
    manifest = OperatorManifest(
        name="paper",
        operator=OperatorConfig(),
        pixel_denoiser=PixelDenoiserConfig(steps=steps),
        licence="none",
        trained_on="nothing",
    )
    nets = {
        "operator": build_operator(manifest.operator),
        "denoiser": build_pixel_denoiser(PixelDenoiserConfig()),
    }
    save_operator(folder, manifest, nets, card="# Fresh weights\n")


def main(
    steps: Annotated[int, typer.Option(help="Steps of the paper's sampler.")] = 50,
    model: Annotated[str, typer.Option(help="Ours.")] = RESIDUAL_MODEL,
    modes: Annotated[str, typer.Option(help="Modes of ours.")] = "perceptual,fidelity",
    runs: Annotated[int, typer.Option(min=1, help="Runs of each of ours.")] = 9,
) -> None:
    """Print seconds, peak memory and the ratio."""
    print(f"{os.environ.get('OMP_NUM_THREADS', 'all')} threads\n")
    header("configuration", "seconds", "peak GB", "times faster than the paper's")
    with tempfile.TemporaryDirectory() as folder:
        scene, target = Path(folder, "scene.tif"), Path(folder, "fine.tif")
        write_scene(scene, tiles(1)[0][:3, :64, :64])
        paper(Path(folder, "paper"), steps)
        command_line = ["upscale", str(scene), str(target), "--scale", "4", "--overwrite"]
        run([*command_line, "--model", model])  # Modules are compiled by whoever comes first.
        theirs = ["--model", f"{folder}/paper", "--mode", "perceptual", "--precision", "fp32"]
        slow, peak, _ = run([*command_line, *theirs])
        row(f"paper preset, {steps} steps, fp32", f"{slow:.1f}", f"{peak:.2f}", "1")
        for mode in modes.split(","):
            ours = [*command_line, "--model", model, "--mode", mode]
            measured = [run(ours) for _ in range(runs)]
            seconds = statistics.median(seconds for seconds, _, _ in measured)
            peak = max(peak for _, peak, _ in measured)
            row(f"{model}, {mode}", f"{seconds:.2f}", f"{peak:.2f}", f"{slow / seconds:.1f}")


if __name__ == "__main__":
    command(main)
