"""What cutting the halo of the denoiser's chain of calls changes at a cell's edge."""

from __future__ import annotations

from typing import Annotated, get_args

import numpy as np
import torch
import typer
from imagery import command, header, row, tiles

import ultrares
from ultrares.methods.cascade import CascadeLevel
from ultrares.sensor.models import Box
from ultrares.types import Cell, Mode, Origin

CORE = 32
WIDEST = 112
HALOS = (2, 4, 8, 16, 24, 32, 48, 64)
EDGE = 2
"""Output pixels along the core's border, where a seam would be."""


def core(level: CascadeLevel, image: torch.Tensor, halo: int) -> np.ndarray:
    """The middle of an image, solved with ``halo`` input pixels around it, in digital numbers."""
    start, side = (image.shape[-1] - CORE) // 2 - halo, CORE + 2 * halo
    window = image[..., start : start + side, start : start + side]
    place = Origin(start, start)
    with torch.inference_mode():
        fine = level(Cell(window, place, window, place, 1))[0].numpy() * 255
    inner = slice(2 * halo, 2 * (halo + CORE))
    return fine[:, inner, inner]


def main(
    model: Annotated[
        str | None, typer.Option(help="A model; the default one if not given.")
    ] = None,
) -> None:
    """Solve one level with ever more context and print what the widest would change, in digital numbers.

    A core of 32 input pixels is solved with a halo of so many on each side, first by the backbone alone,
    then with the denoiser's chain of calls; "edge" is its outermost two output pixels. One unit in the
    last place of a float is 3e-5 here.
    """
    loaded = ultrares.load(model, precision="fp32")
    image = torch.from_numpy(tiles(1)[0])[None].float() / 255
    levels: dict[Mode, CascadeLevel] = {}
    for mode in get_args(Mode):
        (levels[mode],) = loaded.levels(2, mode=mode, draws=1, steps=None, seed=0, sensor=Box())
    widest = {mode: core(level, image, WIDEST) for mode, level in levels.items()}
    edge = np.ones((3, 2 * CORE, 2 * CORE), dtype=bool)
    edge[:, EDGE:-EDGE, EDGE:-EDGE] = False
    used = ", ".join(f"{level.halo} in {mode} mode" for mode, level in levels.items())
    print(f"The widest halo is {WIDEST}; the product uses {used}.\n")
    columns = ("largest at the edge", "rms at the edge", "largest inside")
    header("halo", *(f"{mode}: {column}" for mode in levels for column in columns))
    for halo in HALOS:
        figures = []
        for mode, level in levels.items():
            change = np.abs(core(level, image, halo) - widest[mode])
            rms = np.sqrt((change[edge] ** 2).mean())
            figures += [change[edge].max(), rms, change[~edge].max()]
        row(halo, *(f"{figure:.1e}" for figure in figures))


if __name__ == "__main__":
    command(main)
