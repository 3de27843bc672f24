"""What cutting the halo of the denoiser's chain of calls changes at a cell's edge."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import torch
import typer
from imagery import header, row, tiles

import ultrares
from ultrares.sensor.models import Box
from ultrares.types import Cell, Origin

CORE = 32
WIDEST = 104


def main(
    model: Annotated[
        str | None, typer.Option(help="A model; the default one if not given.")
    ] = None,
) -> None:
    """Solve one level in perceptual mode with ever less context and print the change, in digital numbers."""
    loaded = ultrares.load(model, precision="fp32")
    ((level,),) = loaded.chains(2, mode="perceptual", draws=1, steps=None, seed=0, sensor=Box())
    backbone = level.solver.backbone.halo
    image = torch.from_numpy(tiles(1)[0])[None].float() / 255
    middle = (image.shape[-1] - CORE) // 2

    def core(halo: int) -> np.ndarray:
        start, side = middle - halo, CORE + 2 * halo
        window = image[..., start : start + side, start : start + side]
        place = Origin(start, start)
        with torch.inference_mode():
            fine = level(Cell(window, place, window, place, 1))
        return fine[0, :, 2 * halo : 2 * (halo + CORE), 2 * halo : 2 * (halo + CORE)].numpy() * 255

    widest = core(WIDEST)
    header("halo of the chain", "largest change, DN", "rms, DN")
    for halo in (0, 8, 16, 24, 32, 48, 64):
        total = backbone + halo + (backbone + halo) % 2
        change = np.abs(core(min(total, WIDEST)) - widest)
        row(halo, f"{change.max():.4f}", f"{np.sqrt((change**2).mean()):.5f}")


if __name__ == "__main__":
    typer.run(main)
