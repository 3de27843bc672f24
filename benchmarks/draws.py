"""What several draws cost, in draws: they share the means of the cascade, and each takes fewer denoiser calls."""

from __future__ import annotations

import os
import time
from typing import Annotated, Any

import numpy as np
import typer
from imagery import command, header, row, tiles

import ultrares


def main(
    draws: Annotated[int, typer.Option(min=2, help="How many are averaged.")] = 8,
    scale: Annotated[int, typer.Option(help="Scale.")] = 4,
    sides: Annotated[str, typer.Option(help="Sides of the scenes, in their pixels.")] = "96,256",
    model: Annotated[
        str | None, typer.Option(help="A model; the default one if not given.")
    ] = None,
) -> None:
    """Print the seconds of the mean, of one draw and of several, the best of two runs each."""
    loaded = ultrares.load(model)
    print(f"{loaded.name}, x{scale}, {os.environ.get('OMP_NUM_THREADS', 'all')} threads\n")
    header("scene", "mean, s", "one draw, s", f"{draws} draws, s", f"{draws} draws in draws")
    for side in map(int, sides.split(",")):
        scene = tiles(1)[0][:3, :side, :side]

        def seconds(scene: np.ndarray = scene, **options: Any) -> float:
            best = float("inf")
            for _ in range(2):
                start = time.perf_counter()
                loaded.upscale(scene, scale=scale, **options)
                best = min(best, time.perf_counter() - start)
            return best

        mean = seconds()
        one, several = (seconds(mode="perceptual", draws=count) for count in (1, draws))
        row(
            f"{side} x {side}",
            f"{mean:.1f}",
            f"{one:.1f}",
            f"{several:.1f}",
            f"{several / one:.2f}",
        )


if __name__ == "__main__":
    command(main)
