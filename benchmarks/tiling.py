"""Whether tiling changes anything: the same scene in tiles of 64, 128, 200 and whole, and an area of interest."""

from __future__ import annotations

import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import rasterio
import typer
from imagery import command, data_folder, header, row
from rasterio.windows import Window

import ultrares

LEFT, TOP, WIDTH, HEIGHT = 1800, 900, 200, 180
"""The window of the scene."""

AOI = (37, 20, 151, 140)
"""Left, top, right and bottom of the area of interest, in the window's pixels."""


def upscaled(scene: Path, target: Path, **options: Any) -> np.ndarray:
    """Upscale a scene and read the result back."""
    ultrares.upscale_scene(scene, target, overwrite=True, **options)
    with rasterio.open(target) as raster:
        pixels: np.ndarray = raster.read().astype(int)
    return pixels


def main(
    scale: Annotated[int, typer.Option(help="Scale.")] = 4,
    modes: Annotated[str, typer.Option(help="Modes, separated by commas.")] = "fidelity,perceptual",
    model: Annotated[
        str | None, typer.Option(help="A model; the default one if not given.")
    ] = None,
) -> None:
    """Print the largest difference in digital numbers, per mode and precision; exit 1 if there is any."""
    different = False
    header("mode", "precision", "tile 64", "tile 128", "tile 200", "area of interest")
    with tempfile.TemporaryDirectory() as folder:
        scene, target = Path(folder, "scene.tif"), Path(folder, "fine.tif")
        with rasterio.open(data_folder("scenes") / "sentinel2_scotland.tif") as raster:
            window = Window(LEFT, TOP, WIDTH, HEIGHT)
            profile = raster.profile | {
                "driver": "GTiff",
                "width": WIDTH,
                "height": HEIGHT,
                "transform": raster.window_transform(window),
            }
            with rasterio.open(scene, "w", **profile) as small:
                small.write(raster.read(window=window))
                bounds = small.bounds
        left, top, right, bottom = AOI
        step = (bounds.right - bounds.left) / WIDTH
        aoi = (
            bounds.left + left * step,
            bounds.top - bottom * step,
            bounds.left + right * step,
            bounds.top - top * step,
        )
        for mode in modes.split(","):
            for precision in ("fp32", "auto"):
                read = partial(
                    upscaled,
                    scene,
                    target,
                    scale=scale,
                    model=ultrares.load(model, precision=precision),
                    mode=mode,
                )
                whole = read(tile=scale * max(WIDTH, HEIGHT))
                differences = [np.abs(read(tile=tile) - whole).max() for tile in (64, 128, 200)]
                rows = slice(top * scale, bottom * scale)
                cols = slice(left * scale, right * scale)
                differences.append(np.abs(read(aoi=aoi) - whole[:, rows, cols]).max())
                row(mode, precision, *differences)
                different |= any(differences)
    if different:
        sys.exit("the result depends on how the scene is cut")


if __name__ == "__main__":
    command(main)
