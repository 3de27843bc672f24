"""A result against its truth, whether both are files or folders of files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from ultrares.errors import OptionError
from ultrares.evaluation.folders import SETS, FolderScores, Trio, evaluate_folders, match
from ultrares.evaluation.rasters import evaluate_rasters
from ultrares.evaluation.request import Request
from ultrares.evaluation.sets import set_distances
from ultrares.metrics.definitions import define
from ultrares.metrics.extractors import extractor_from
from ultrares.metrics.scores import Scores
from ultrares.metrics.suite import NAMES, check_names
from ultrares.metrics.tools import read_tools
from ultrares.scene.zarr_layout import is_zarr
from ultrares.sensor.models import parse_sensor

Progress = Callable[[int, int], None]


def evaluate(  # noqa: PLR0913 - its keywords are what the figures depend on
    sr: str | Path,
    hr: str | Path,
    lr: str | Path | None = None,
    *,
    metrics: Sequence[str] | None = None,
    sensor: str | None = None,
    peak: float | None = None,
    scale: float | None = None,
    tile: int | None = None,
    bands: Sequence[int | str] | None = None,
    weights: str | Path | None = None,
    csv: str | Path | None = None,
    progress: Progress | None = None,
) -> Scores | FolderScores:
    """Compare a raster, or each of a folder, with the truth.

    Rasters may be of any size: they are read square by square, and the figures are those of the whole.

    Args:
        sr: The result, or a folder of results.
        hr: The truth on the same grid, or a folder of truths of the same names.
        lr: What the result was made from, or a folder of it; adds ``lr_psnr`` and ``ergas``.
        metrics: Names of those wanted; None for all that can be had. ``fid`` and ``kid`` take folders and
            must be asked for.
        sensor: ``box``, ``bicubic`` or ``mtf:VALUE``; None for what the files say of it, else ``box``.
        peak: Largest value the data can take; None is 255 for bytes, else the truth's range.
        scale: Fine pixels per coarse pixel, for ``ergas`` where there is no ``lr``.
        tile: Side of the tiles that the result was computed in; adds ``seam``.
        bands: Which bands of the truth the result's are, by numbers from 1 or names, as it was degraded with; None for
            all that are no alpha.
        weights: Folder with the weights of LPIPS and the model of NIQE, and of what FID and KID look with.
        csv: For folders: a table that each image is appended to. A stopped run goes on with it.
        progress: Called with the pixels, or the images, done and their total.

    Raises:
        UltraresError: Something cannot be done; the message says what, where and what to do.
    """
    if metrics is not None:
        check_names(metrics, (*NAMES, *SETS))
    if sensor is not None:
        parse_sensor(sensor)
    request = Request(
        metrics=None if metrics is None else tuple(dict.fromkeys(metrics)),
        sensor=sensor,
        peak=peak,
        scale=scale,
        tile=tile,
        tools=read_tools(weights),
        bands=None if bands is None else tuple(str(band) for band in bands),
    )
    if Path(sr).is_dir() and not is_zarr(sr):
        trios, notes = match(sr, hr, lr)
        return _folder(trios, request, weights, csv, notes, progress)
    if csv is not None:
        raise OptionError(f"the table {csv} is for folders: pass two folders, or no table")
    if set(SETS) & set(request.metrics or ()):
        raise OptionError("fid and kid compare sets of images: pass two folders")
    return evaluate_rasters(sr, hr, lr, request=request, progress=progress)


def _folder(
    trios: Sequence[Trio],
    request: Request,
    weights: str | Path | None,
    csv: str | Path | None,
    notes: Sequence[str],
    progress: Progress | None,
) -> FolderScores:
    wanted = request.metrics
    sets = [name for name in SETS if name in (wanted or ())]
    if sets and weights is None:
        raise OptionError(f"{sets[0]} needs a network: pass the folder of its weights as weights")
    single = None if wanted is None else tuple(name for name in wanted if name not in SETS)
    if single == ():
        found = FolderScores((), {}, {}, notes=tuple(notes))
    else:
        own = replace(request, metrics=single)
        found = evaluate_folders(trios, request=own, table=csv, notes=notes, progress=progress)
    return _with_sets(found, sets, trios, request, weights) if sets and weights else found


def _with_sets(
    found: FolderScores,
    sets: Sequence[str],
    trios: Sequence[Trio],
    request: Request,
    weights: str | Path,
) -> FolderScores:
    """The same with the distances of the sets, of images that could be compared."""
    failed = {row.name for row in found.rows if row.problem}
    usable = [trio for trio in trios if trio.name not in failed]
    extractor = extractor_from(weights)
    distances, notes = set_distances(usable, extractor, peak=request.peak, bands=request.bands)
    chosen = {key: value for key, value in distances.items() if key.partition("[")[0] in sets}
    words = {"extractor": extractor.name}
    definitions = {key: define(key.partition("[")[0], words) for key in chosen}
    return replace(
        found,
        sets=chosen,
        definitions=found.definitions | definitions,
        notes=(*found.notes, *notes),
    )
