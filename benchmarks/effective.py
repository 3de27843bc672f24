"""How fine the detail of products is: the pixel whose Nyquist frequency is where half of the true contrast is left.

Measured against the truth (`ultrares.metrics.resolution`); the figures go into the model's card as
`effective_pixel`, in output pixels, by scale, for fidelity mode and the sensor `box`.
"""

from __future__ import annotations

from typing import Annotated

import torch
import typer
from cases import cases
from imagery import command, header, row

import ultrares
from ultrares.metrics.patch import Pair, Patch
from ultrares.metrics.pixels import as_doubles
from ultrares.metrics.resolution import TransferTally
from ultrares.types import Window


def main(
    limit: Annotated[int, typer.Option(min=1, help="Only the first tiles.")] = 10,
    scales: Annotated[str, typer.Option(help="Scales.")] = "2,4,8",
    model: Annotated[
        str | None, typer.Option(help="A model; the default one if not given.")
    ] = None,
) -> None:
    """Print MTF50 and the effective pixel of a model and of bicubic interpolation."""
    models = [ultrares.load("bicubic"), ultrares.load(model)]
    header("scale", *(f"{one.name}: effective pixel" for one in models), "of input pixels")
    for scale in (int(text) for text in scales.split(",")):
        found = []
        for one in models:
            tally = TransferTally()
            for case in cases(scale, "box", limit):
                fine = one.upscale(case.coarse, scale=scale)
                pair = as_doubles(fine, case.truth)
                whole = Window(0, 0, *pair[0].shape[-2:])
                valid = torch.ones(pair[0].shape[-2:], dtype=torch.bool)
                tally.add(Patch(Pair(*pair, valid, ~valid), whole, whole))
            found.append(tally.scores()["effective_pixel"])
        row(f"x{scale}", *(f"{value:.2f}" for value in found), f"{found[-1] / scale:.2f}")


if __name__ == "__main__":
    command(main)
