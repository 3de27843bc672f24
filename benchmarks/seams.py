"""What cutting the halo of the denoiser's chain of calls changes at a cell's edge."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import torch
import typer
from imagery import command, header, row, tiles

import ultrares
from ultrares.methods.cascade import CascadeLevel
from ultrares.sensor.models import Box
from ultrares.types import Cell, Mode, Origin, Window

CORE = 32
WIDEST = 112
HALOS = (2, 4, 8, 16, 24, 32, 48, 64)
EDGE = 2
"""Output pixels along the core's border, where a seam would be."""
WAYS: dict[str, tuple[Mode, int, int]] = {
    "fidelity": ("fidelity", 1, 2),
    "x4 step": ("fidelity", 1, 4),
    "perceptual": ("perceptual", 1, 2),
    "one of two draws": ("perceptual", 2, 2),
}
"""Mode, draws and scale of a level; a model without a x4 step has no such row."""


def core(
    level: CascadeLevel, image: torch.Tensor, halo: int, *, as_product: bool = False
) -> np.ndarray:
    """The middle of an image, solved with ``halo`` input pixels around it, in digital numbers.

    Samples are made in all of the window, or as the product does it: as little around the core as it takes.
    """
    start, side = (image.shape[-1] - CORE) // 2 - halo, CORE + 2 * halo
    window = image[..., start : start + side, start : start + side]
    place = Origin(start, start)
    middle = Window(start + halo, start + halo, CORE, CORE) if as_product else None
    cell = Cell(window, place, window, place, 1, core=middle)
    with torch.inference_mode():
        fine = level(cell)[0].numpy() * 255
    inner = slice(level.scale * halo, level.scale * (halo + CORE))
    return fine[:, inner, inner]


def border(side: int) -> np.ndarray:
    """Which pixels (3, side, side) lie at the edge."""
    edge = np.ones((3, side, side), dtype=bool)
    edge[:, EDGE:-EDGE, EDGE:-EDGE] = False
    return edge


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
    levels: dict[str, CascadeLevel] = {}
    for name, (mode, draws, scale) in WAYS.items():
        route = loaded.route(scale, mode=mode, draws=draws, steps=None, seed=0, sensor=Box())
        if len(route.levels) == 1:
            (levels[name],) = route.levels
    widest = {mode: core(level, image, WIDEST) for mode, level in levels.items()}
    print(f"The widest halo is {WIDEST}.\n")
    columns = ("largest at the edge", "rms at the edge", "largest inside")
    header("halo", *(f"{mode}: {column}" for mode in levels for column in columns))
    for halo in HALOS:
        figures = []
        for mode, level in levels.items():
            change = np.abs(core(level, image, halo) - widest[mode])
            edge = border(change.shape[-1])
            rms = np.sqrt((change[edge] ** 2).mean())
            figures += [change[edge].max(), rms, change[~edge].max()]
        row(halo, *(f"{figure:.1e}" for figure in figures))
    print("\nThe product's own context:\n")
    header("mode", "halo", *columns, "share that rounds otherwise")
    for mode, level in levels.items():
        multiple = level.size_rule.multiple_of
        halo = -(-level.halo // multiple) * multiple
        made = core(level, image, halo, as_product=True)
        change = np.abs(made - widest[mode])
        edge = border(change.shape[-1])
        rms = np.sqrt((change[edge] ** 2).mean())
        otherwise = (np.rint(made) != np.rint(widest[mode])).mean()
        figures = (change[edge].max(), rms, change[~edge].max(), otherwise)
        row(mode, level.halo, *(f"{figure:.1e}" for figure in figures))


if __name__ == "__main__":
    command(main)
