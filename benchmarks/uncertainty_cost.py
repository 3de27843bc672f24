"""What an uncertainty costs: processor seconds of several draws with their spread, in those of one draw."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Annotated

import typer
from cases import cases
from imagery import command, header, row

import ultrares


def seconds(action: Callable[[], object]) -> float:
    """Processor seconds of an action, over all threads."""
    start = time.process_time()
    action()
    return time.process_time() - start


def main(
    draws: Annotated[int, typer.Option(min=2, help="Samples.")] = 8,
    scale: Annotated[int, typer.Option(help="Scale.")] = 4,
    side: Annotated[int, typer.Option(help="Side of the input, in pixels.")] = 96,
    repeats: Annotated[int, typer.Option(min=1, help="Runs of each; the least counts.")] = 2,
    model: Annotated[
        str | None, typer.Option(help="A model; the default one if not given.")
    ] = None,
) -> None:
    """Print the cost of a fidelity product, a single draw, and several with their spread."""
    loaded = ultrares.load(model)
    image = cases(2, "box", 1)[0].coarse[:, :side, :side]
    loaded.upscale(image[:, :32, :32], scale=2, mode="perceptual")
    ways: dict[str, Callable[[], object]] = {
        "fidelity": lambda: loaded.upscale(image, scale=scale),
        "1 draw": lambda: loaded.upscale(image, scale=scale, mode="perceptual"),
        f"{draws} draws and their spread": lambda: loaded.upscale_with_spread(
            image, scale=scale, draws=draws
        ),
    }
    found = {name: min(seconds(way) for _ in range(repeats)) for name, way in ways.items()}
    print(f"{loaded.name}, x{scale}, {side} x {side} pixels, {image.shape[0]} bands\n")
    header("", "processor seconds", "in single draws")
    for name, value in found.items():
        row(name, f"{value:.2f}", f"{value / found['1 draw']:.2f}")


if __name__ == "__main__":
    command(main)
