"""Whether tiling changes anything: the same scene in tiles of 64, 128, 200 and whole, and an area of interest."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import rasterio
import typer
from imagery import data_folder, header, row
from rasterio.windows import Window

import ultrares


def upscaled(scene: Path, target: Path, **options: Any) -> np.ndarray:
    """Upscale a scene and read the result back."""
    ultrares.upscale_scene(scene, target, overwrite=True, **options)
    with rasterio.open(target) as raster:
        return raster.read().astype(int)


def main(
    scale: Annotated[int, typer.Option(help="Scale.")] = 4,
    model: Annotated[
        str | None, typer.Option(help="A model; the default one if not given.")
    ] = None,
) -> None:
    """Print the largest difference in digital numbers, per mode and precision."""
    header("mode", "precision", "tile 64", "tile 128", "tile 200", "area of interest")
    with tempfile.TemporaryDirectory() as folder:
        scene, target = Path(folder, "scene.tif"), Path(folder, "fine.tif")
        with rasterio.open(data_folder("scenes") / "sentinel2_scotland.tif") as raster:
            window = Window(1800, 900, 150, 130)
            profile = raster.profile | {
                "driver": "GTiff",
                "width": 150,
                "height": 130,
                "transform": raster.window_transform(window),
            }
            with rasterio.open(scene, "w", **profile) as small:
                small.write(raster.read(window=window))
                bounds = small.bounds
        # Pixels 37 to 101 by 20 to 90 of the scene.
        step = (bounds.right - bounds.left) / 150
        aoi = (
            bounds.left + 37 * step,
            bounds.top - 90 * step,
            bounds.left + 101 * step,
            bounds.top - 20 * step,
        )
        for mode in ("fidelity", "perceptual"):
            for precision in ("fp32", "bf16"):
                read = partial(
                    upscaled,
                    scene,
                    target,
                    scale=scale,
                    model=ultrares.load(model, precision=precision),
                    mode=mode,
                )
                whole = read(tile=4096)
                differences = [np.abs(read(tile=tile) - whole).max() for tile in (64, 128, 200)]
                rows, cols = slice(20 * scale, 90 * scale), slice(37 * scale, 101 * scale)
                differences.append(np.abs(read(aoi=aoi) - whole[:, rows, cols]).max())
                row(mode, precision, *differences)


if __name__ == "__main__":
    typer.run(main)
