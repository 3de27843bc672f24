"""What cutting the halo of a level, and of the fusion of references, changes at a cell's edge."""

from __future__ import annotations

from typing import Annotated
from unittest import mock

import numpy as np
import torch
import typer
from imagery import command, header, row, tiles

import ultrares
from ultrares.methods import reference_fusion
from ultrares.methods.cascade import CascadeLevel
from ultrares.sensor.models import Box
from ultrares.types import AlignedReference, Cell, Mode, Origin, Window

CORE = 32
WIDEST = 112
HALOS = (2, 4, 8, 16, 24, 32, 48, 64)
EDGE = 2
"""Output pixels along the core's border, where a seam would be."""
FUSED = 16
"""The ratio of scene and reference that a fused cell is looked at."""
CONTEXTS, WIDEST_CONTEXT = (0, 32, 64, 96, 128, 160, 192), 256
"""Pixels around it that the network sees."""
ABREAST = 5
"""Tiles in a row that the cell lies in."""
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


def fused_by_context(model: ultrares.Model) -> None:
    """Print what the network's context changes in a fused cell, in digital numbers, if the model fuses."""
    guided = model.route(
        FUSED, mode="fidelity", draws=1, steps=None, seed=0, sensor=Box(), with_reference=True
    )
    fusion = next((level.fusion for level in guided.levels if level.fusion), None)
    if fusion is None:
        return
    ratio = max(each for each in fusion.ratios if each <= FUSED)
    truth, other = (
        torch.from_numpy(np.concatenate(tiles(ABREAST, year), axis=2))[None].float() / 255
        for year in (2020, 2018)
    )
    scene = Box().degrade(truth, ratio)
    reference = AlignedReference(other, torch.ones_like(other[:, :1]))
    cell = Window(0, other.shape[-1] // 2 - 128, 256, 256)
    made = {}
    with torch.inference_mode():
        for halo in (*CONTEXTS, WIDEST_CONTEXT):
            # The scene is as high as the cell, so that it is cut at its left and right alone.
            with mock.patch.object(reference_fusion, "NET_HALO", halo):
                made[halo] = 255 * fusion(scene, reference, ratio, cell)[0].numpy()
    print(
        f"\nA cell of a reference that is fused at x{ratio}, by the pixels around it that the network sees:\n"
    )
    header("context", "largest at the edge", "rms at the edge", "largest inside")
    edge = np.zeros((3, 256, 256), dtype=bool)
    edge[..., :EDGE] = edge[..., -EDGE:] = True
    for halo in CONTEXTS:
        change = np.abs(made[halo] - made[WIDEST_CONTEXT])
        rms = np.sqrt((change[edge] ** 2).mean())
        figures = (change[edge].max(), rms, change[~edge].max())
        row(halo, *(f"{figure:.1e}" for figure in figures))


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
    fused_by_context(loaded)


if __name__ == "__main__":
    command(main)
