"""Any scale on a scene: whether tiles of the neural operator agree with the scene in one piece, and in how much memory.

One piece: the encoder sees the whole crop at once, and the places, each of which is computed by itself, come in
strips. The integrals are those of the scene, which are gathered once and do not depend on tiles. Compared is
the network's image in [0, 1], before it is held to the scene and rounded. Then crops of growing size go through
the command line, each in a process of its own.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Annotated
from unittest.mock import patch

import numpy as np
import rasterio
import torch
import typer
from imagery import command, data_folder, header, row, tiles
from rasterio.windows import Window as RasterWindow
from scale import run

import ultrares
from ultrares.catalogue import RESIDUAL_MODEL, load_saved
from ultrares.methods import neurop_diff
from ultrares.methods.neurop_diff import SAMPLING_MARGIN, NeurOpDiff
from ultrares.methods.place import Solve
from ultrares.methods.saved_operator import SavedOperator
from ultrares.nets.neural_operator import Queries
from ultrares.nets.wavelet_residual import context_vector
from ultrares.scene.grid_choice import grid_of_scale
from ultrares.scene.grid_stage import GridStage
from ultrares.scene.pyramid import Pyramid
from ultrares.scene.radiometry import Radiometry
from ultrares.scene.source import RasterSource
from ultrares.sensor.models import Box
from ultrares.types import Window

LEFT, TOP, WIDTH, HEIGHT = 600, 400, 1500, 1100
"""The crop of the scene."""

STRIP = 32
"""Output rows of the untiled image that are computed at once."""

AGREED = 1e-4

MARGINS = (4, 8, 16, SAMPLING_MARGIN, 48)


def crop(target: Path, width: int, height: int) -> None:
    """Write a part of the Sentinel-2 scene."""
    with rasterio.open(data_folder("scenes") / "sentinel2_scotland.tif") as raster:
        window = RasterWindow(LEFT, TOP, width, height)
        placed = {"transform": raster.window_transform(window), "width": width, "height": height}
        with rasterio.open(target, "w", **(raster.profile | {"driver": "GTiff"} | placed)) as part:
            part.write(raster.read(window=window))


class Untiled:
    """The operator's image of a scene whose pixels were encoded all at once."""

    def __init__(self, stage: GridStage, step: NeurOpDiff) -> None:
        # The stage's own view of the whole output: the scene with its mirrored surroundings.
        seen = stage._seen(Window(0, 0, *stage.shape))
        self._step, self._integrals = step, stage.integrals()
        self._image, self._queries = step._asked(seen)
        context = context_vector(1, mtf=step.mtf, depth=step.depth)
        with torch.autocast("cpu", torch.bfloat16, enabled=step.autocast):
            image = self._image.contiguous(memory_format=torch.channels_last)
            self._features = step.net.encode(image, context)

    def rows(self, first: int, count: int) -> torch.Tensor:
        """Some rows of the output."""
        places = self._queries
        asked = Queries(places.rows[first : first + count], places.cols, places.pitch)
        net = self._step.net
        with torch.autocast("cpu", torch.bfloat16, enabled=self._step.autocast):
            values = net.carry(net.lift(self._features, asked), self._integrals)
            return net.project(values, self._image, asked).float()


@torch.inference_mode()
def difference(scene: Path, scale: float, *, autocast: bool, rows: int) -> tuple[float, str]:
    """The largest difference over the output's first ``rows`` rows, and the size of the output."""
    saved = load_saved(RESIDUAL_MODEL, precision="bf16" if autocast else "fp32", device="cpu")
    assert isinstance(saved, SavedOperator)
    step = saved.step(Solve(mode="fidelity"), Box())
    with RasterSource(scene) as source:
        pyramid = Pyramid(source, Radiometry.of(source), [])
        stage = GridStage(pyramid, step, grid_of_scale(source.shape, scale))
        whole, worst = Untiled(stage, step), 0.0
        height, width = stage.shape
        for first in range(0, min(rows, height), STRIP):
            count = min(STRIP, height - first)
            tiled = stage.read(Window(first, 0, count, width))
            bands = tiled.shape[1]
            untiled = whole.rows(first, count)
            # The last group of three is filled up with bands that are there already.
            flat = untiled.reshape(1, -1, *untiled.shape[-2:])[:, :bands].numpy()
            worst = max(worst, float(np.abs(tiled - flat).max()))
    return worst, f"{width} x {height}"


def margins(scale: float, sides: tuple[int, ...], *, widest: int = 96) -> list[tuple[int, float]]:
    """For narrower margins of a sample's cells, the share of pixels that differ from those of the widest, and by what."""
    image = tiles(1)[0][:3, :160, :160]
    model = ultrares.load(RESIDUAL_MODEL, precision="fp32")

    def sample(margin: int) -> np.ndarray:
        # Small cells, for there to be borders.
        with patch.multiple(neurop_diff, SAMPLING_MARGIN=margin, CORE=128):
            return model.upscale(image, scale=scale, mode="perceptual").astype(int)

    wide = sample(widest)
    differences = [np.abs(sample(side) - wide) for side in sides]
    return [(int(found.max()), float((found > 0).mean())) for found in differences]


def main(
    scale: Annotated[float, typer.Option(help="Scale.")] = 3.3,
    rows: Annotated[int, typer.Option(help="Output rows that are compared.")] = 1 << 20,
    sizes: Annotated[str, typer.Option(help="Sides of the scenes whose memory is measured.")] = (
        "375x275,750x550,1500x1100"
    ),
) -> None:
    """Print the largest difference and the memory; exit 1 if tiles disagree."""
    with tempfile.TemporaryDirectory() as folder:
        scene, target = Path(folder, "scene.tif"), Path(folder, "fine.tif")
        crop(scene, WIDTH, HEIGHT)
        header("precision", "output", "largest difference of [0, 1]")
        worst, size = difference(scene, scale, autocast=False, rows=rows)
        row("fp32", size, f"{worst:.1e}")
        print()
        header("a sample's margin", "largest difference, DN", "pixels that differ")
        for side, (largest, share) in zip(MARGINS, margins(scale, MARGINS), strict=True):
            row(f"{side}", f"{largest}", f"{share:.0e}")
        print()
        header("scene", "seconds", "peak GB")
        for text in sizes.split(","):
            width, height = (int(side) for side in text.split("x"))
            crop(scene, width, height)
            arguments = ["upscale", str(scene), str(target), "--scale", f"{scale}", "--overwrite"]
            seconds, peak, _ = run([*arguments, "--model", RESIDUAL_MODEL])
            row(f"{width} x {height}", f"{seconds:.0f}", f"{peak:.2f}")
    if worst > AGREED:
        sys.exit(f"tiles differ from one piece by {worst:.1e}")


if __name__ == "__main__":
    command(main)
