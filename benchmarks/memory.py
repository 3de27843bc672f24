"""Whether a budget of memory is kept by scenes of any size, and what an output pixel of theirs costs.

Three scenes from the shared Sentinel-2 imagery: a small one; one of 2048 x 2048 pixels; and a sparse one of 100,000 x
100,000, of which a few blocks were ever written. Each is upscaled by the command line with `--memory`, in a process
whose resident memory is sampled fifty times a second.
"""

from __future__ import annotations

import resource
import tempfile
from pathlib import Path
from typing import Annotated

import numpy as np
import rasterio
import typer
from imagery import command, data_folder, header, row
from rasterio.transform import from_origin
from rasterio.windows import Window
from scale import run

BLOCK = 512
SPARSE_SIDE, LARGE_SIDE = 100_000, 2048
PITCH = 10.0


def children() -> float:
    """Processor seconds of all processes that were started and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def square(side: int) -> np.ndarray:
    """Pixels (3, side, side) of the Sentinel-2 scene, repeated where it ends."""
    with rasterio.open(data_folder("scenes") / "sentinel2_scotland.tif") as raster:
        image = raster.read([1, 2, 3], window=Window(0, 0, side, side))
    return np.pad(image, ((0, 0), *((0, side - length) for length in image.shape[1:])), "symmetric")


def write(path: Path, side: int, blocks: list[tuple[int, int]] | None) -> None:
    """A scene of a side, all of it or some of its blocks; nodata elsewhere."""
    image = np.maximum(square(min(side, LARGE_SIDE)), 1)
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        width=side,
        height=side,
        count=3,
        dtype=image.dtype,
        nodata=0,
        tiled=True,
        blockxsize=BLOCK,
        blockysize=BLOCK,
        compress="deflate",
        sparse_ok=True,
        bigtiff="if_safer",
        crs="EPSG:32630",
        transform=from_origin(300_000, 6_000_000, PITCH, PITCH),
    ) as raster:
        if blocks is None:
            raster.write(image)
        for top, left in blocks or []:
            window = Window(left * BLOCK, top * BLOCK, BLOCK, BLOCK)
            raster.write(image[:, :BLOCK, :BLOCK], window=window)


def main(
    memory: Annotated[str, typer.Option(help="As --memory takes it.")] = "3GB",
    model: Annotated[str, typer.Option(help="Model; networks take hours.")] = "bicubic",
    written: Annotated[int, typer.Option(help="Blocks of the sparse scene that hold data.")] = 64,
    cases: Annotated[str, typer.Option(help="Which, separated by commas.")] = "small,large,sparse",
    part: Annotated[
        int | None,
        typer.Option(help="Only so many scene pixels along the sides of an area of interest."),
    ] = None,
) -> None:
    """Print peak memory and processor seconds per output megapixel, whether it holds data or not.

    Those are the process's own, whatever else the machine does; that of a process for 16 x 16 pixels is taken off.
    """
    chance = np.random.default_rng(0)
    across = min(SPARSE_SIDE, part or SPARSE_SIDE) // BLOCK
    written = min(written, across**2)
    places = [divmod(int(at), across) for at in chance.choice(across**2, written, replace=False)]
    known = {
        "small": (1024, None, 4, 1024**2),
        "small x32": (128, None, 32, 128**2),
        "large": (LARGE_SIDE, None, 32, LARGE_SIDE**2),
        "sparse": (SPARSE_SIDE, places, 4, SPARSE_SIDE**2),
    }
    print(f"{model}, --memory {memory}\n")
    header("case", "scene", "scale", "seconds", "peak GB", "CPU s per output MPix")
    with tempfile.TemporaryDirectory() as folder:
        scene, target = Path(folder, "scene.tif"), Path(folder, "fine.tif")
        write(scene, 16, None)
        run(["upscale", str(scene), str(target), "--scale", "2", "--model", model, "--overwrite"])
        start = children()
        for case in cases.split(","):
            side, blocks, scale, pixels = known[case]
            write(scene, side, blocks)
            options = ["--scale", str(scale), "--model", model, "--memory", memory, "--overwrite"]
            if part is not None and part < side:
                right, bottom = 300_000 + part * PITCH, 6_000_000 - part * PITCH
                options += ["--aoi", f"300000 {bottom} {right} 6000000"]
                pixels = part**2
            before = children()
            seconds, peak, _ = run(["upscale", str(scene), str(target), *options])
            cost = (children() - before - start) / (pixels * scale**2 / 1e6)
            row(
                case,
                f"{side} x {side}",
                f"x{scale}",
                f"{seconds:.0f}",
                f"{peak:.2f}",
                f"{cost:.3f}",
            )
            target.unlink()


if __name__ == "__main__":
    command(main)
