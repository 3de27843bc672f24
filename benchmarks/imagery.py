"""The imagery that the benchmarks share."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import rasterio
import typer
from rasterio.transform import from_origin

from ultrares.errors import UltraresError

ROOT = Path(__file__).parents[1]


def data_folder(name: str) -> Path:
    """A folder of the shared imagery, or the end of the program with a sentence."""
    folder = Path(os.environ.get("ULTRARES_DATA", ROOT / "../shared/data")) / name
    if not folder.exists():
        sys.exit(f"{folder} does not exist: set ULTRARES_DATA to the folder of the imagery")
    return folder.resolve()


def tiles(limit: int | None = None, year: int = 2020) -> list[np.ndarray]:
    """Red, green and blue of `naip/val`, (3, 256, 256) unsigned bytes each; sites alike in every year."""
    folder = data_folder("naip/val")
    paths = sorted(folder.glob(f"chico_{year}_*.tif"))[:limit]
    if not paths:
        sys.exit(
            f"{folder} holds no chico_{year}_*.tif: set ULTRARES_DATA to the folder of the imagery"
        )
    images = []
    for path in paths:
        with rasterio.open(path) as raster:
            images.append(raster.read([1, 2, 3]))
    return images


def write_scene(path: Path, image: np.ndarray) -> None:
    """Write an image as a georeferenced scene."""
    bands, height, width = image.shape
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        count=bands,
        height=height,
        width=width,
        dtype=image.dtype,
        crs="EPSG:32610",
        transform=from_origin(600_000, 4_400_000, 0.6, 0.6),
    ) as raster:
        raster.write(image)


def command(main: Callable[..., None]) -> None:
    """Run a benchmark as a command line; what cannot be done ends it with its sentence."""
    try:
        typer.run(main)
    except UltraresError as error:
        sys.exit(f"{Path(sys.argv[0]).name}: {error}")


def row(*values: object) -> None:
    """Print one line of a Markdown table."""
    print("| " + " | ".join(str(value) for value in values) + " |", flush=True)


def header(*names: str) -> None:
    """Print the head of a Markdown table."""
    row(*names)
    row(*("---" for _ in names))
