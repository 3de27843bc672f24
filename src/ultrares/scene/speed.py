"""How long the parts of a product take on this device, measured on noise."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ultrares.scene.grid_stage import SURVEYED
from ultrares.scene.radiometry import Radiometry
from ultrares.scene.source import ArraySource
from ultrares.scene.tile_file import encode
from ultrares.scene.upscale import BlockTiler
from ultrares.types import (
    AlignedReference,
    Cell,
    Fusion,
    GridCell,
    GridUpscaler,
    Origin,
    Shape,
    SizeRule,
    Upscaler,
    Window,
)

WRITES = 3
"""A tile is compressed once, its pixels are compressed again in the product, and that is read back."""


@torch.inference_mode()
def seconds_of_cell(
    level: Upscaler,
    factor: int,
    images: tuple[int, int],
    window: Shape,
    *,
    guided: bool,
    share: float,
) -> float:
    """How long a level takes for a cell.

    A small one is run first; if a whole one would take longer than there is time, its time is the small
    one's per pixel.

    Args:
        level: The level.
        factor: Pixels of its input per pixel of the scene.
        images: Number of images that it gets, and their bands.
        window: Height and width of a whole cell.
        guided: Whether it gets a reference.
        share: Seconds that measuring may take.
    """
    multiple = math.lcm(level.size_rule.multiple_of, factor)
    full = Shape(*(-(-side // multiple) * multiple for side in window))
    small = Shape(
        *(min(side, -(-max(64, level.size_rule.minimum) // multiple) * multiple) for side in full)
    )

    def run(shape: Shape) -> float:
        cell = _noise_cell(level, factor, images, shape, guided=guided)
        return _timed(lambda: level(cell).float().cpu())

    run(small)  # Libraries prepare themselves on the first call.
    ratio = full.height * full.width / (small.height * small.width)
    # The best of some: a machine that is busy for a moment should not promise days.
    seconds, until = run(small), time.monotonic() + share / 4
    while time.monotonic() < until:
        seconds = min(seconds, run(small))
    return run(full) if ratio > 1 and seconds * ratio <= share else seconds * ratio


@torch.inference_mode()
def seconds_of_fusion(fusion: Fusion, ratio: int, bands: int, output: Shape) -> float:
    """How long a reference is fused for a cell.

    Args:
        fusion: What fuses.
        ratio: The pixels that it fuses per pixel of the scene, along one side.
        bands: Bands of the scene.
        output: Height and width of what is fused, in its pixels.
    """
    wide = min(fusion.core(ratio) + 2 * fusion.halo(ratio), max(output))
    side = -(-wide // ratio)
    image = torch.rand(1, bands, ratio * side, ratio * side)
    reference = AlignedReference(image, torch.ones_like(image[:, :1]))

    def run(core: int) -> None:
        first = min(fusion.halo(ratio), ratio * side - core)
        fusion(
            torch.rand(1, bands, side, side), reference, ratio, Window(first, first, core, core)
        ).cpu()

    run(fusion.core(ratio) // 4)  # Libraries prepare themselves on the first call.
    return _timed(lambda: run(min(fusion.core(ratio), ratio * side)))


def seconds_of_last(last: GridUpscaler, pitch: float, bands: int, output: Shape) -> float:
    """How long the step to the output grid takes for a cell, its share of the integrals counted in.

    Args:
        last: The step.
        pitch: Pixels of its input per output pixel.
        bands: Bands of its input.
        output: Height and width of the product.
    """
    multiple = last.multiple_of
    wanted = min(last.core + 2 * last.margin, max(output))
    side = -(-min(256, wanted) // multiple) * multiple
    edges = last.halo + np.arange(side + 1, dtype=np.float64) * pitch
    length = math.ceil(edges[-1]) + last.halo
    cell = GridCell(torch.rand(1, bands, length, length), edges, edges, Origin(0, 0))
    integrals: list[Tensor] = []
    surveyed = 0.0
    with torch.inference_mode():
        for _ in range(last.passes):
            start = time.perf_counter()
            integrals.append((last.products(cell, integrals).double().cpu() / side**2).float())
            surveyed += time.perf_counter() - start
        # What a step keeps of the last cell must not pass for its speed.
        _timed(lambda: last(replace(cell), integrals).float().cpu())
        seconds = _timed(lambda: last(replace(cell), integrals).float().cpu())
    cells = math.ceil(output.height / last.core) * math.ceil(output.width / last.core)
    return seconds * (wanted / side) ** 2 + surveyed * SURVEYED / cells


def seconds_of_tile(bands: int, dtype: np.dtype, side: int, factor: int | None) -> float:
    """How long all but the networks takes for a tile: projection, rounding, compression, reading back.

    Args:
        bands: Number of bands.
        dtype: Data type of the product.
        side: Side of a tile in output pixels.
        factor: Output pixels along the side of a scene pixel; None where those are no whole blocks.
    """
    step = factor or 2
    coarse = max(1, min(side, 1024) // step)
    noise = np.random.default_rng(0).integers(0, 100, (bands, coarse, coarse)).astype(dtype)
    source = ArraySource(noise)
    levels = [_Repeat(step, coarse)]
    tiler = BlockTiler(source, levels, step, radiometry=Radiometry.of(source), tile=coarse * step)
    place = Window(0, 0, coarse * step, coarse * step)
    tiler.make(place)
    start = time.perf_counter()
    pixels = tiler.make(place).pixels
    made = time.perf_counter() - start
    written = _timed(lambda: encode(pixels))
    return (made + WRITES * written) * (side / (coarse * step)) ** 2


@dataclass(frozen=True)
class _Repeat:
    """A level that repeats pixels, so that what is measured is all the rest."""

    scale: int
    core: int
    halo: int = 0
    edge: int = 0
    original_margin: int | None = None
    uses_reference: bool = False
    fusion: None = None
    size_rule: SizeRule = SizeRule()  # noqa: RUF009 - it is frozen

    def __call__(self, cell: Cell) -> Tensor:
        return cell.image.repeat_interleave(self.scale, -1).repeat_interleave(self.scale, -2)


def _noise_cell(
    level: Upscaler, factor: int, images: tuple[int, int], shape: Shape, *, guided: bool
) -> Cell:
    number, bands = images
    image = torch.rand(number, bands, *shape)
    margin = level.original_margin
    original, origin = image, Origin(0, 0)
    if margin is not None:
        rows, cols = (side // factor + 2 * margin for side in shape)
        original, origin = torch.rand(1, bands, rows, cols), Origin(-margin, -margin)
    reference = None
    if guided:
        fine = [level.scale * side for side in shape]
        reference = AlignedReference(torch.rand(1, bands, *fine), torch.ones(1, 1, *fine))
    return Cell(image, Origin(0, 0), original, origin, factor, reference)


def _timed(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start
