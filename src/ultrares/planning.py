"""What a run will take: pixels, tiles, memory, room on the disk, and hours."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ultrares.errors import OptionError, OutputError
from ultrares.methods.cascade import CascadeLevel
from ultrares.reports import PlanReport
from ultrares.run import Run
from ultrares.scene.budget import BYTES_PER_DRAW, BYTES_PER_PIXEL_AND_BAND
from ultrares.scene.fused_reference import fused_at
from ultrares.scene.pyramid import FUSED_SHARE
from ultrares.scene.room import (
    OVERVIEWS,
    available_memory,
    bytes_in,
    free_disk,
    stored_bytes_per_pixel,
)
from ultrares.scene.speed import (
    seconds_of_cell,
    seconds_of_fusion,
    seconds_of_last,
    seconds_of_tile,
)
from ultrares.scene.square_cache import SIDE
from ultrares.scene.staging import staging_folder
from ultrares.scene.tile_file import BLOCK
from ultrares.scene.zarr_layout import is_zarr
from ultrares.types import Fusion, Shape, Upscaler

BYTES_PER_FUSED_PIXEL, BYTES_PER_FUSED_BAND = 200, 42
"""Peak use of the fusion of a reference, per pixel of what is read for a cell of it."""

FUSED_AGAIN = 3
"""How often a cell is fused where memory does not keep all of them: for coarse levels first, and then for the finest."""

BYTES_PER_CELL_PIXEL = 2500
"""Peak use of a network per pixel of a cell's input, each image that it sees at once; measured 900 to 2000 on our own (docs/large-scenes.md)."""

BYTES_PER_FURTHER_GROUP = 1800
"""What each three bands beyond the first three add to that, for groups of bands are seen side by side; measured 700 to 1800."""

BYTES_PER_DRAW_OF_CELL = 300
"""The images of a draw: what it sees, its mean, its sample, and that held to its input."""

BYTES_PER_TILE = 450
"""What lists and the journal remember of a tile."""

SECONDS_PER_EMPTY_MEGAPIXEL = 0.01
"""What lacks data is looked at, written down and skipped (benchmarks/memory.py)."""

SECONDS = 8.0
"""What measuring may take, all in all."""


@dataclass(frozen=True)
class Stage:
    """A level of the cascade over a run's part of the scene.

    Attributes:
        level: The level.
        factor: Pixels of its input per pixel of the scene.
        cells: How many cells there are.
        window: Height and width of what a cell sees.
    """

    level: Upscaler
    factor: int
    cells: int
    window: Shape


def plan(
    run: Run, folder: Path, target: Path | None = None, *, measure: bool, bounds: bool = False
) -> PlanReport:
    """Add up what a run takes.

    Args:
        run: The run.
        folder: Where the product shall lie.
        target: The product, of which a part may be finished already.
        measure: Whether to measure how long it takes.
        bounds: Whether an upper bound of the product's size is enough where even that fits.
    """
    height, width = run.profile.shape
    side = run.tile if run.in_blocks else SIDE
    tiles = math.ceil(height / side) * math.ceil(width / side)
    stages = list(stages_of(run))
    in_place = target is not None and is_zarr(target)
    memory = _memory(run, stages, side, tiles, in_place=in_place)
    limit = available_memory() if run.budget.memory is None else run.budget.memory
    started = 0 if target is None else bytes_in(staging_folder(target))
    free = free_disk(folder) + started
    product, scratch = _disk(run, in_place=in_place, enough=free if bounds else 0)
    seconds = _seconds(run, stages, side, tiles) if measure else None
    return PlanReport(
        width=width,
        height=height,
        bands=run.scene.bands,
        dtype=str(run.scene.dtype),
        scale=run.grid.scale if run.grid.factor is None else run.grid.factor,
        model=run.model.name,
        tile=side,
        tiles=tiles,
        memory_bytes=memory,
        memory_limit_bytes=limit,
        memory_limited_by="machine" if run.budget.memory is None else "--memory",
        product_bytes=product,
        scratch_bytes=scratch,
        disk_free_bytes=free,
        hours=None if seconds is None else seconds / 3600,
        megapixels_per_second=None if seconds is None else height * width / 1e6 / seconds,
    )


def refuse_what_does_not_fit(report: PlanReport, folder: Path) -> None:
    """Refuse a run before any work is done.

    Raises:
        OptionError: It needs more memory than there is or than was allowed.
        OutputError: It needs more room on the disk than there is.
    """
    if report.lacks_memory:
        limit = (
            "are allowed by --memory: allow more"
            if report.memory_limited_by == "--memory"
            else "are available here: pass --memory"
        )
        raise OptionError(
            f"this needs {report.memory_bytes / 1e9:.1f} GB of memory, and "
            f"{report.memory_limit_bytes / 1e9:.1f} GB {limit}, or pass a smaller --tile or fewer --draws"
        )
    if report.lacks_disk:
        raise OutputError(
            f"this needs {_size(report.product_bytes + report.scratch_bytes)} in {folder} while it is made, of "
            f"which {_size(report.product_bytes)} stay, and {_size(report.disk_free_bytes)} are free: make "
            "room, or pass a smaller --scale or --aoi"
        )


def stages_of(run: Run) -> Sequence[Stage]:
    """The levels over the run's part of the scene."""
    found, factor = [], 1
    for level in run.route.levels:
        cells, window = 1, []
        multiple = level.size_rule.multiple_of
        if level.original_margin is not None:
            multiple = math.lcm(multiple, factor)
        halo, edge = (-(-margin // multiple) * multiple for margin in (level.halo, level.edge))
        for first, length, size in (
            (run.window.row, run.window.height, run.scene.shape.height),
            (run.window.col, run.window.width, run.scene.shape.width),
        ):
            start, stop = first * factor // level.core, -(-(first + length) * factor // level.core)
            cells *= stop - start
            seen = min(level.core + 2 * halo, size * factor + 2 * edge)
            window.append(level.size_rule.enough(seen))
        found.append(Stage(level, factor, cells, Shape(*window)))
        factor *= level.scale
    return found


def _memory(run: Run, stages: Sequence[Stage], side: int, tiles: int, *, in_place: bool) -> int:
    """Peak use of the process: what it has loaded, and what the work adds."""
    height, width = run.profile.shape
    bands, draws = run.scene.bands, run.options.shown
    per_pixel = (BYTES_PER_PIXEL_AND_BAND + BYTES_PER_DRAW * (draws - 1)) * bands
    piece = min(side, height) * min(side, width) * per_pixel
    finest = max([run.grid.scale, *(stage.factor * stage.level.scale for stage in stages)])
    area = run.window.height * run.window.width
    # All levels together have 4/3 of the finest one's pixels at most.
    cells = int(area * finest**2 * OVERVIEWS * 4 * bands * draws)
    working = max(
        (
            stage.window.height
            * stage.window.width
            * _bytes_per_cell_pixel(stage.level, bands, draws)
            for stage in stages
        ),
        default=0,
    )
    if run.route.last is not None:
        core = min(run.route.last.core + 2 * run.route.last.margin, max(height, width))
        working = max(working, core**2 * BYTES_PER_CELL_PIXEL * draws)
    fusion, ratio = _fused(run, stages)
    if fusion is not None:
        room = fusion.core(ratio) + 2 * fusion.halo(ratio)
        fused = math.prod(min(room, ratio * side) for side in run.scene.shape)
        # A network that takes three bands is shown one three times.
        working = max(
            working, fused * (BYTES_PER_FUSED_PIXEL + BYTES_PER_FUSED_BAND * max(bands, 3))
        )
        cells += int(area * ratio**2 * OVERVIEWS * (4 * bands + 1))
    blocks = min(run.budget.blocks, 2 * height * width * bands * run.scene.dtype.itemsize)
    kept = min(run.budget.cells, cells) + blocks + tiles * BYTES_PER_TILE
    # GDAL's COG driver copies whole rows of blocks; a Zarr is made in place.
    rows = 0 if in_place else min(BLOCK, height)
    strip = rows * width * bands * run.scene.dtype.itemsize
    return run.loaded + kept + max(piece + working, strip)


def _fused(run: Run, stages: Sequence[Stage]) -> tuple[Fusion | None, int]:
    """What fuses the reference, if anything does, and at which ratio."""
    fusion = next((stage.level.fusion for stage in stages if stage.level.fusion), None)
    top = math.prod(stage.level.scale for stage in stages)
    ratio = fused_at(fusion, run.guide, top)
    return (None, 1) if ratio is None else (fusion, ratio)


def _bytes_per_cell_pixel(level: Upscaler, bands: int, draws: int) -> int:
    """What a pixel of a level's input takes while a cell of so many bands and draws is made."""
    at_once = level.at_once if isinstance(level, CascadeLevel) else draws
    image = BYTES_PER_CELL_PIXEL + BYTES_PER_FURTHER_GROUP * (math.ceil(bands / 3) - 1)
    return image * at_once + BYTES_PER_DRAW_OF_CELL * draws


def _disk(run: Run, *, in_place: bool, enough: int) -> tuple[int, int]:
    """Bytes of the product, and of what lies beside it while it is made, unless its tiles are made in place.

    Not compressed, where that is not more than ``enough``: to see how well a scene compresses takes time.
    """
    pixels = math.prod(run.profile.shape)
    # The evidence has twice as many bands, of which the residuals are zeros for the most part.
    floats = run.options.with_spread + run.options.with_evidence

    def taken(bytes_per_pixel: float) -> tuple[int, int]:
        # The product has overviews; beside it are its tiles, and its overviews while they are made.
        stored = pixels * (bytes_per_pixel + floats * 4.0 * len(run.radiometry.low))
        product = int(stored * OVERVIEWS)
        return product, 0 if in_place else product

    whole = taken(run.scene.bands * run.scene.dtype.itemsize)
    if sum(whole) <= enough:
        return whole
    return taken(stored_bytes_per_pixel(run.scene, run.window, run.grid.scale))


def _seconds(run: Run, stages: Sequence[Stage], side: int, tiles: int) -> float:
    """How long it takes on this device, from cells that are run for some seconds."""
    bands, draws = len(run.radiometry.low), run.options.shown
    share = SECONDS / (len(stages) + 2)
    total = tiles * seconds_of_tile(run.scene.bands, run.scene.dtype, side, run.in_blocks)
    finest = 1
    for stage in stages:
        finest = stage.factor * stage.level.scale
        guided = run.guide is not None and stage.level.uses_reference
        number = 1 if stage.factor == 1 else draws
        seconds = seconds_of_cell(
            stage.level, stage.factor, (number, bands), stage.window, guided=guided, share=share
        )
        total += stage.cells * seconds
    fusion, ratio = _fused(run, stages)
    if fusion is not None:
        fused = Shape(ratio * run.window.height, ratio * run.window.width)
        core = fusion.core(ratio)
        cells = math.ceil(fused.height / core) * math.ceil(fused.width / core)
        kept = math.prod(fused) * (4 * bands + 1) * OVERVIEWS
        again = 1 if kept <= run.budget.cells / FUSED_SHARE else FUSED_AGAIN
        total += again * cells * seconds_of_fusion(fusion, ratio, bands, fused)
    last = run.route.last
    if last is not None:
        height, width = run.profile.shape
        cells = math.ceil(height / last.core) * math.ceil(width / last.core)
        pitch = run.grid.rows.pitch * finest
        total += cells * seconds_of_last(last, pitch, bands, run.profile.shape)
    written = run.scene.written_share(run.window)
    empty = (1 - written) * math.prod(run.profile.shape) / 1e6
    return total * written + empty * SECONDS_PER_EMPTY_MEGAPIXEL


def _size(count: int) -> str:
    """A number of bytes as a person reads it."""
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"
