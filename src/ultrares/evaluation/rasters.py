"""One raster of any size against its truth, window by window."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import rasterio
import torch

from ultrares.errors import OptionError, RasterError
from ultrares.evaluation.pair import Named, RasterPair, check_same_bands, check_same_place
from ultrares.evaluation.request import Request
from ultrares.metrics.comparison import wants_consistency
from ultrares.metrics.consistency import ConsistencyTally
from ultrares.metrics.fidelity import psnr_of
from ultrares.metrics.patch import SIDE, patches
from ultrares.metrics.scores import Scores
from ultrares.metrics.setting import Setting, levels
from ultrares.metrics.suite import CONSISTENCY, Suite
from ultrares.scene.choice import Choice
from ultrares.scene.opening import open_raster
from ultrares.scene.windows import tiles, whole
from ultrares.sensor.models import Box, SensorModel, parse_sensor
from ultrares.types import Shape, Window

BLOCK_CACHE = 100_000_000
"""Bytes of decoded blocks that GDAL keeps: rows of a file without tiles are read once for each window."""

Progress = Callable[[int, int], None]


def evaluate_rasters(
    estimate: str | Path,
    truth: str | Path,
    coarse: str | Path | None = None,
    *,
    request: Request,
    progress: Progress | None = None,
) -> Scores:
    """Compare a raster with the truth, and with the raster it was made from.

    Alpha is validity and not a band. A pixel is compared where all bands of both rasters have data. The
    figures are those of the whole image, whatever its size.

    Args:
        estimate: The result.
        truth: The truth, on the same grid.
        coarse: What the result was made from.
        request: The choices that figures depend on.
        progress: Called with the pixels done and their total.

    Raises:
        RasterError: A raster is unreadable, or they do not fit together.
        InputError: No pixel has data in both.
        OptionError: A metric or sensor is unknown, or what a metric needs is missing.
    """
    with ExitStack() as stack:
        stack.enter_context(rasterio.Env(GDAL_CACHEMAX=BLOCK_CACHE))
        ours, true = _opened(estimate, stack), _opened(truth, stack, request.bands)
        pair = RasterPair(ours, true)
        below = None
        if coarse is not None:
            below = _opened(coarse, stack)
        scale = request.scale if below is None else _scale(ours, below)
        extent = pair.extent()
        floor, peak = levels(request.peak, extent)
        setting = Setting(
            bands=pair.bands,
            shape=pair.shape,
            floor=floor,
            peak=peak,
            extent=extent,
            whole_numbers=pair.whole_numbers,
            scale=scale,
            tile=request.tile,
            tools=request.tools,
        )
        suite = Suite(setting, request.metrics)
        with_coarse = wants_consistency(request.metrics, given=below is not None)
        _add_up(suite, pair, progress)
        extra: dict[str, float] = {}
        words: dict[str, str] = {}
        if below is not None and with_coarse:
            sensor = _sensor(request.sensor, ours, below)
            extra[CONSISTENCY] = psnr_of(_reduced_mse(ours, below, sensor), peak)
            words["sensor"] = sensor.name
        scores = suite.scores(extra, words)
    return replace(scores, notes=(*scores.notes, *pair.notes))


def _opened(path: str | Path, stack: ExitStack, bands: tuple[str, ...] | None = None) -> Named:
    """A raster, or some bands of it, that the stack closes."""
    raster = open_raster(path, choice=Choice(bands=bands))
    stack.enter_context(raster)
    return Named(str(path), raster)


def _add_up(suite: Suite, pair: RasterPair, progress: Progress | None) -> None:
    done, total = 0, pair.shape.height * pair.shape.width
    for patch in patches(pair.shape, pair.read, halo=suite.halo, side=suite.side):
        suite.add(patch)
        done += patch.core.height * patch.core.width
        if progress is not None:
            progress(done, total)


def _scale(fine: Named, coarse: Named) -> int:
    """Fine pixels per coarse pixel along one side.

    Raises:
        RasterError: The rasters do not fit together.
    """
    check_same_bands(fine, coarse)
    ours, theirs = fine.source.shape, coarse.source.shape
    scale = ours.height // theirs.height
    if scale < 1 or ours != Shape(scale * theirs.height, scale * theirs.width):
        raise RasterError(
            f"{fine.name} is {ours.width} x {ours.height} pixels, no whole multiple of the "
            f"{theirs.width} x {theirs.height} of {coarse.name}: pass the raster it was made from"
        )
    check_same_place(fine, coarse)
    return scale


def _sensor(asked: str | None, fine: Named, coarse: Named) -> SensorModel:
    """The sensor asked for, or that which the coarse or the fine raster was made with."""
    if asked is not None:
        return parse_sensor(asked)
    for named, key in ((coarse, "ULTRARES_DEGRADED_SENSOR"), (fine, "ULTRARES_SENSOR")):
        text = named.source.profile.tags.get("", {}).get(key)
        if text is not None:
            try:
                return parse_sensor(text)
            except OptionError:
                continue
    return Box()


def _reduced_mse(fine: Named, coarse: Named, sensor: SensorModel) -> float:
    """Mean squared difference of the reduced fine raster and the coarse one."""
    shape = coarse.source.shape
    scale = fine.source.shape.height // shape.height
    tally = ConsistencyTally(sensor, scale)
    for part in tiles(whole(shape), max(1, SIDE // scale)):
        wide = part.padded(sensor.reach).clipped(shape)
        inner = Window(part.row - wide.row, part.col - wide.col, part.height, part.width)
        pixels, known = coarse.read(part)
        if bool(torch.any(known)):
            tally.add(fine.read(wide.scaled(scale)), (pixels, known), inner)
    return tally.mse
