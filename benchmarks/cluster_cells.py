"""What it costs that workers do not share cells: how many each number of workers computes.

Cells are counted, not computed: a level that copies stands in for the networks, with their cores and halos. Each
worker has a pyramid, and thus a cache, of its own, and takes tiles as :class:`ultrares.cluster.runs.Runs` hands
them out, all at the same speed::

    python benchmarks/cluster_cells.py --side 4096 --scale 4
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

import ultrares
from ultrares.cluster.runs import Runs
from ultrares.scene.pyramid import Pyramid
from ultrares.scene.radiometry import Radiometry
from ultrares.scene.source import ArraySource
from ultrares.scene.windows import tiles
from ultrares.sensor.models import Box
from ultrares.types import Cell, Shape, SizeRule, Upscaler, Window


@dataclass(frozen=True)
class Counted:
    """A level in the form of another, which counts the pixels of its input and makes one value of them."""

    form: Upscaler
    seen: list[int]

    scale = property(lambda self: self.form.scale)
    halo = property(lambda self: self.form.halo)
    edge = property(lambda self: self.form.edge)
    core = property(lambda self: self.form.core)
    original_margin = property(lambda self: self.form.original_margin)
    uses_reference = False
    fusion = None

    @property
    def size_rule(self) -> SizeRule:
        """Of the other level."""
        return self.form.size_rule

    def __call__(self, cell: Cell) -> Tensor:
        """Count, and return nothing in the right form."""
        height, width = cell.image.shape[-2:]
        self.seen.append(height * width)
        return torch.zeros(1, 1, 1, 1).expand(1, 1, height * self.scale, width * self.scale)


def computed(levels: list[Upscaler], side: int, scale: int, workers: int, order: str) -> int:
    """Input pixels of all cells that so many workers compute."""
    scene = ArraySource(np.zeros((1, side, side), np.uint8))
    radiometry, seen = Radiometry.of(scene), []  # type: tuple[Radiometry, list[int]]
    names = [str(number) for number in range(workers)]
    pyramids = {
        name: Pyramid(scene, radiometry, [Counted(level, seen) for level in levels])
        for name in names
    }
    places = list(tiles(Window(0, 0, side * scale, side * scale), 512))
    runs = Runs(len(places), names)
    turn = iter(range(len(places)))
    following: Callable[[str], int | None] = (
        runs.next if order == "runs" else lambda _: next(turn, None)
    )
    busy = True
    while busy:
        busy = False
        for name in names:
            number = following(name)
            if number is not None:
                pyramids[name].read(len(levels), places[number])
                busy = True
    return sum(seen)


def main() -> None:
    """Print how much more several workers compute than one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=1024, help="pixels of the scene along one side")
    parser.add_argument("--scale", type=int, default=4)
    parser.add_argument("--model", default=None)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4, 8])
    options = parser.parse_args()
    model = ultrares.load(options.model)
    how = {"mode": "fidelity", "draws": 1, "steps": None, "seed": 0}
    levels = model.route(options.scale, **how, sensor=Box()).levels
    one = computed(levels, options.side, options.scale, 1, "runs")
    print(
        f"{Shape(options.side, options.side)} x{options.scale}, {model.name}: one worker {one} px"
    )
    for workers in options.workers:
        shares = [
            computed(levels, options.side, options.scale, workers, order) / one
            for order in ("runs", "turns")
        ]
        print(f"{workers} workers: {shares[0]:.3f} in runs, {shares[1]:.3f} in turns")


if __name__ == "__main__":
    main()
