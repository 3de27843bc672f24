"""Time and peak memory of `ultrares evaluate` on a pair of large rasters, as a process of its own."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import numpy as np
import rasterio
import typer
from imagery import command, header, row
from rasterio.windows import Window
from scale import run

BLOCK = 512


def write(path: Path, side: int, bands: int, seed: int) -> None:
    """A tiled raster of noise that is smooth over a few pixels, different in each block."""
    rng = np.random.default_rng(seed)
    options = {"driver": "GTiff", "tiled": True, "blockxsize": BLOCK, "blockysize": BLOCK}
    with rasterio.open(
        path, "w", width=side, height=side, count=bands, dtype="uint8", **options
    ) as file:
        for top in range(0, side, BLOCK):
            for left in range(0, side, BLOCK):
                coarse = rng.integers(0, 200, (bands, BLOCK // 4, BLOCK // 4), dtype=np.uint8)
                block = coarse.repeat(4, axis=1).repeat(4, axis=2)
                block += rng.integers(0, 50, block.shape, dtype=np.uint8)
                height, width = min(BLOCK, side - top), min(BLOCK, side - left)
                file.write(block[:, :height, :width], window=Window(left, top, width, height))


def main(
    side: Annotated[int, typer.Option(help="Pixels along each side.")] = 20_000,
    bands: Annotated[int, typer.Option(help="Number of bands.")] = 1,
    metrics: Annotated[
        str, typer.Option(help="Names, separated by commas.")
    ] = "psnr,ssim,sre,ag,histogram_distance,mtf50",
    weights: Annotated[Path | None, typer.Option(help="Folder of weights.")] = None,
) -> None:
    """Print seconds, megapixels per second and peak memory; needs twice the raster's bytes on the disk."""
    header("pair", "metrics", "seconds", "MPix/s", "peak GB")
    with tempfile.TemporaryDirectory() as folder:
        one, other = Path(folder, "sr.tif"), Path(folder, "hr.tif")
        write(one, side, bands, seed=1)
        write(other, side, bands, seed=2)
        options = ["--metrics", metrics] + (["--weights", str(weights)] if weights else [])
        seconds, peak, _ = run(["evaluate", str(one), str(other), *options])
    size = f"{side} x {side} x {bands}"
    row(size, metrics, f"{seconds:.0f}", f"{side**2 / 1e6 / seconds:.2f}", f"{peak:.2f}")


if __name__ == "__main__":
    command(main)
