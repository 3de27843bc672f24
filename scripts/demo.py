"""Upscale the sample scene by 4, draw it beside its input, and check it; all under out/."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import rasterio
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from rasterio.enums import Resampling

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROOT = Path(__file__).parents[1]
SCALE = 4
SCENE = Path("examples/data/olinda.tif")
FINER = Path(f"out/olinda_x{SCALE}.tif")
PICTURE = FINER.with_suffix(".png")
TRUE_COLOUR = (3, 2, 1)  # red, green and blue of Landsat 7
SHOWN = (45, 20, 80, 80)  # column, row, width and height in the scene: streets, pond and beach


def ultrares(*arguments: str) -> None:
    """Run the command line as a user would, or stop with its exit status."""
    command = [str(Path(sys.executable).with_name("ultrares")), *arguments]
    print("$", " ".join(["ultrares", *arguments]), flush=True)
    status = subprocess.run(command, cwd=ROOT, check=False).returncode
    if status != 0:
        raise SystemExit(status)


def read(path: Path, scale: int, resampling: Resampling) -> NDArray[np.float64]:
    """True colour of a raster, ``scale`` times finer, shape (height, width, 3)."""
    with rasterio.open(ROOT / path) as raster:
        size = (len(TRUE_COLOUR), scale * raster.height, scale * raster.width)
        pixels = raster.read(TRUE_COLOUR, out_shape=size, resampling=resampling)
    return np.moveaxis(pixels, 0, -1).astype(np.float64)


def draw(path: Path) -> None:
    """Draw the input, its bicubic enlargement and the product side by side, equally stretched."""
    panels = {
        "input, 28.5 m": read(SCENE, SCALE, Resampling.nearest),
        f"bicubic x{SCALE}": read(SCENE, SCALE, Resampling.cubic),
        f"ultrares x{SCALE}, {28.5 / SCALE:.1f} m": read(FINER, 1, Resampling.nearest),
    }
    left, top, width, height = (SCALE * value for value in SHOWN)
    crops = {name: image[top : top + height, left : left + width] for name, image in panels.items()}
    dark, bright = np.percentile(crops["input, 28.5 m"], (1, 99), axis=(0, 1))
    figure = Figure(figsize=(3 * 5.4, 5.7), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (name, crop) in zip(figure.subplots(1, len(crops)), crops.items(), strict=True):
        stretched = np.clip((crop - dark) / (bright - dark), 0, 1)
        axes.imshow(stretched, interpolation="nearest")
        axes.set_title(name)
        axes.axis("off")
    figure.savefig(path)


def main() -> None:
    """Run the demo."""
    (ROOT / FINER).parent.mkdir(exist_ok=True)
    ultrares("upscale", str(SCENE), str(FINER), "--scale", str(SCALE), "--overwrite")
    ultrares("check", str(FINER), str(SCENE))
    draw(ROOT / PICTURE)
    print(f"\nThe finer scene: {FINER}\nBeside its input: {PICTURE}")


if __name__ == "__main__":
    main()
