"""What a job will take: pixels, tiles, memory, room on the disk, and hours."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ultrares.errors import OptionError, OutputError
from ultrares.job import Job
from ultrares.reports import PlanReport
from ultrares.scene.budget import BYTES_PER_DRAW, BYTES_PER_PIXEL_AND_BAND
from ultrares.scene.room import (
    OVERVIEWS,
    available_memory,
    bytes_in,
    free_disk,
    stored_bytes_per_pixel,
)
from ultrares.scene.speed import seconds_of_cell, seconds_of_last, seconds_of_tile
from ultrares.scene.staging import staging_folder
from ultrares.scene.tile_file import BLOCK
from ultrares.scene.upscale_grid import SIDE
from ultrares.types import Shape, Upscaler

BYTES_PER_CELL_PIXEL = 2500
"""Peak use of a network per pixel of a cell's input and draw; measured 900 to 2000 on our own (docs/large-scenes.md)."""

BYTES_PER_TILE = 450
"""What lists and the journal remember of a tile."""

SECONDS = 8.0
"""What measuring may take, all in all."""


@dataclass(frozen=True)
class Stage:
    """A level of the cascade over a job's part of the scene.

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


def plan(job: Job, folder: Path, target: Path | None = None, *, measure: bool) -> PlanReport:
    """Add up what a job takes.

    Args:
        job: The job.
        folder: Where the product shall lie.
        target: The product, of which a part may be finished already.
        measure: Whether to measure how long it takes.
    """
    height, width = job.profile.shape
    side = job.tile if job.in_blocks else SIDE
    tiles = math.ceil(height / side) * math.ceil(width / side)
    stages = list(stages_of(job))
    memory = _memory(job, stages, side, tiles)
    limit = available_memory() if job.budget.memory is None else job.budget.memory
    product, scratch = _disk(job)
    started = 0 if target is None else bytes_in(staging_folder(target))
    seconds = _seconds(job, stages, side, tiles) if measure else None
    return PlanReport(
        width=width,
        height=height,
        bands=job.scene.bands,
        dtype=str(job.scene.dtype),
        scale=job.grid.scale if job.grid.factor is None else job.grid.factor,
        model=job.model.name,
        tile=side,
        tiles=tiles,
        memory_bytes=memory,
        memory_limit_bytes=limit,
        memory_limited_by="machine" if job.budget.memory is None else "--memory",
        product_bytes=product,
        scratch_bytes=scratch,
        disk_free_bytes=free_disk(folder) + started,
        hours=None if seconds is None else seconds / 3600,
        megapixels_per_second=None if seconds is None else height * width / 1e6 / seconds,
    )


def refuse_what_does_not_fit(report: PlanReport, folder: Path) -> None:
    """Refuse a job before any work is done.

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


def stages_of(job: Job) -> Sequence[Stage]:
    """The levels over the job's part of the scene."""
    found, factor = [], 1
    for level in job.route.levels:
        cells, window = 1, []
        multiple = level.size_rule.multiple_of
        if level.original_margin is not None:
            multiple = math.lcm(multiple, factor)
        halo, edge = (-(-margin // multiple) * multiple for margin in (level.halo, level.edge))
        for first, length, size in (
            (job.window.row, job.window.height, job.scene.shape.height),
            (job.window.col, job.window.width, job.scene.shape.width),
        ):
            start, stop = first * factor // level.core, -(-(first + length) * factor // level.core)
            cells *= stop - start
            seen = min(level.core + 2 * halo, size * factor + 2 * edge)
            window.append(level.size_rule.enough(seen))
        found.append(Stage(level, factor, cells, Shape(*window)))
        factor *= level.scale
    return found


def _memory(job: Job, stages: Sequence[Stage], side: int, tiles: int) -> int:
    """Peak use of the process: what it has loaded, and what the work adds."""
    height, width = job.profile.shape
    bands, draws = job.scene.bands, job.options.shown
    per_pixel = (BYTES_PER_PIXEL_AND_BAND + BYTES_PER_DRAW * (draws - 1)) * bands
    piece = min(side, height) * min(side, width) * per_pixel
    finest = max([job.grid.scale, *(stage.factor * stage.level.scale for stage in stages)])
    area = job.window.height * job.window.width
    # All levels together have 4/3 of the finest one's pixels at most.
    cells = int(area * finest**2 * OVERVIEWS * 4 * bands * draws)
    working = max(
        (
            stage.window.height * stage.window.width * BYTES_PER_CELL_PIXEL * draws
            for stage in stages
        ),
        default=0,
    )
    if job.route.last is not None:
        core = min(job.route.last.core + 2 * job.route.last.margin, max(height, width))
        working = max(working, core**2 * BYTES_PER_CELL_PIXEL * draws)
    blocks = min(job.budget.blocks, 2 * height * width * bands * job.scene.dtype.itemsize)
    kept = min(job.budget.cells, cells) + blocks + tiles * BYTES_PER_TILE
    # GDAL's COG driver copies whole rows of blocks.
    strip = min(BLOCK, height) * width * bands * job.scene.dtype.itemsize
    return job.loaded + kept + max(piece + working, strip)


def _disk(job: Job) -> tuple[int, int]:
    """Bytes of the product, and of what lies beside it while it is made."""
    height, width = job.profile.shape
    pixels = height * width
    stored = pixels * stored_bytes_per_pixel(job.scene, job.window, job.grid.scale)
    if job.options.with_spread:
        stored += pixels * 4.0 * len(job.radiometry.low)
    # The product has overviews; beside it are its tiles, and its overviews while they are made.
    return int(stored * OVERVIEWS), int(stored * OVERVIEWS)


def _seconds(job: Job, stages: Sequence[Stage], side: int, tiles: int) -> float:
    """How long it takes on this device, from cells that are run for some seconds."""
    bands, draws = len(job.radiometry.low), job.options.shown
    share = SECONDS / (len(stages) + 2)
    total = tiles * seconds_of_tile(job.scene.bands, job.scene.dtype, side, job.in_blocks)
    finest = 1
    for stage in stages:
        finest = stage.factor * stage.level.scale
        guided = job.guide is not None and stage.level.uses_reference
        number = 1 if stage.factor == 1 else draws
        seconds = seconds_of_cell(
            stage.level, stage.factor, (number, bands), stage.window, guided=guided, share=share
        )
        total += stage.cells * seconds
    last = job.route.last
    if last is not None:
        height, width = job.profile.shape
        cells = math.ceil(height / last.core) * math.ceil(width / last.core)
        pitch = job.grid.rows.pitch * finest
        total += cells * seconds_of_last(last, pitch, bands, job.profile.shape)
    return total


def _size(count: int) -> str:
    """A number of bytes as a person reads it."""
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"
