"""The Python face: load a model, upscale an image or a scene, check the result."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ultrares.catalogue import describe_model, locate, models
from ultrares.cluster.client import Hands
from ultrares.cluster.gather import write_tiles_from_workers
from ultrares.errors import OptionError, OutputError
from ultrares.files import Files, Sinks, found
from ultrares.loading import load
from ultrares.methods.cascade import MAX_SCALE
from ultrares.methods.shelves import EMBEDDED
from ultrares.model import Model
from ultrares.planning import plan, refuse_what_does_not_fit
from ultrares.reports import DegradeReport, ModelInfo, PlanReport, UpscaleReport
from ultrares.run import Inputs, Options, Run, shift_of
from ultrares.scene.alpha import doubt_about_alpha
from ultrares.scene.budget import parse_memory
from ultrares.scene.check import CheckReport
from ultrares.scene.check import check as check_files
from ultrares.scene.choice import Choice
from ultrares.scene.degrade import degrade as degrade_file
from ultrares.scene.grid_choice import Wanted
from ultrares.scene.opening import check_kind, check_named, open_raster
from ultrares.scene.publishing import check_target
from ultrares.scene.target_grid import TargetGrid
from ultrares.scene.tile import write_tiles
from ultrares.scene.zarr_layout import is_zarr
from ultrares.sensor.models import Box, SensorModel, parse_sensor
from ultrares.types import Backbone, Mode, Precision

if TYPE_CHECKING:
    from ultrares.evaluation.files import evaluate
    from ultrares.evaluation.folders import FolderScores
    from ultrares.metrics.scores import Scores

__all__ = [
    "EMBEDDED",
    "DegradeReport",
    "FolderScores",
    "Model",
    "ModelInfo",
    "PlanReport",
    "Scores",
    "UpscaleReport",
    "check",
    "degrade",
    "describe_model",
    "describe_raster",
    "evaluate",
    "load",
    "locate",
    "models",
    "plan_scene",
    "upscale_scene",
]

_SCORING = {
    "FolderScores": "ultrares.evaluation.folders",
    "Scores": "ultrares.metrics.scores",
    "evaluate": "ultrares.evaluation.files",
}
"""Names whose imports nobody else should wait for."""


def __getattr__(name: str) -> Any:
    """Import what scoring needs when it is first asked for."""
    if name not in _SCORING:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_SCORING[name]), name)


Progress = Callable[[int, int], None]

_LOG = logging.getLogger(__name__)


def upscale_scene(  # noqa: PLR0913 - its keywords are the product's options
    source: str | Path,
    target: str | Path,
    *,
    scale: float | None = None,
    gsd: float | None = None,
    like: str | Path | None = None,
    model: str | Path | Model | Backbone | None = None,
    reference: str | Path | None = None,
    mode: Mode = "fidelity",
    draws: int = 1,
    uncertainty: str | Path | None = None,
    evidence: str | Path | None = None,
    steps: int | None = None,
    seed: int = 0,
    sensor: str = "box",
    tile: int | None = None,
    memory: str | int | None = None,
    precision: Precision = "auto",
    device: str | None = None,
    aoi: tuple[float, float, float, float] | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    asset: str | None = None,
    stac: bool = False,
    subdataset: str | None = None,
    bands: Sequence[int | str] | None = None,
    overwrite: bool = False,
    restart: bool = False,
    progress: Progress | None = None,
) -> UpscaleReport:
    """Upscale a raster of any size into a cloud-optimised GeoTIFF or a Zarr.

    Finished tiles are kept in a hidden folder beside the result until it is published. If the run ends early,
    whatever the reason, the same call goes on from there and ends in the identical result.

    Args:
        source: The scene: a file, the folder or zip file of a Sentinel-2 product, a path or URL that GDAL
            opens, a Zarr, or a STAC item that names one of them (docs/inputs.md).
        target: The result; a name that ends in ``.zarr`` makes a Zarr.
        scale: Output pixels per scene pixel along one side, above 1, to 128. Sides are rounded to whole
            pixels; the footprint is kept.
        gsd: Instead of a scale, the size of an output pixel in the units of the scene's CRS.
        like: Instead of a scale, a raster whose pixels the output's shall be, where both reach.
        model: A loaded model or anything :func:`load` takes.
        reference: A finer raster of the same place; refused by models that use none.
        mode: ``fidelity`` for the conditional mean, ``perceptual`` for a sample.
        draws: Samples to average in perceptual mode.
        uncertainty: Where the standard deviation of the draws goes, on the grid of the result, in digital
            numbers; needs perceptual mode and two draws or more. It appears just before the result, and
            neither appears without the other.
        evidence: Where it goes how much of the result the scene does not explain: for each band the share of
            local variance that is invented, in [0, 1], then for each the difference of the result's means
            from the scene, in digital numbers.
        steps: Denoiser calls per level of a sample.
        seed: Seed of the samples.
        sensor: ``box``, ``bicubic`` or ``mtf:VALUE``.
        tile: Side of the square of output pixels written at a time; the result does not depend on it.
        memory: What the process may use, such as ``"4GB"``; chooses the tile. With ``workers`` it is divided
            among them and this process; with ``scheduler`` it is what each worker may use.
        precision: As for :func:`load`. With its default a model that is loaded already is taken as it is.
        device: See there.
        aoi: Left, bottom, right, top in the scene's CRS: upscale only the source pixels it touches.
            The result equals the crop of the full one.
        workers: Have the tiles made by so many processes of this machine, one for each GPU where there are
            some. The result does not depend on it. ``model`` must then be a name or a path.
        scheduler: Have them made by the workers of the dask.distributed scheduler at this address.
        asset: Which asset of a STAC item, or which variable of a Zarr, is the scene; needed where there are
            several.
        stac: Whether a STAC item is written beside the result, ``NAME.json``.
        subdataset: Which raster of a container is upscaled, by its name or its number from 1; None for the
            only one, or the 10 m bands of a Sentinel-2 product.
        bands: Numbers from 1 or names of the bands to upscale; None for all, or all that show light in a
            Sentinel-2 product.
        overwrite: Whether existing files may be replaced.
        restart: Throw away what an earlier run left unfinished.
        progress: Called with the output pixels done and their total, after each tile that is kept; what it
            raises ends the run between two tiles.

    Raises:
        UltraresError: Something cannot be done; the message says what, where and what to do.
    """
    start = time.monotonic()
    hands = Hands(workers, scheduler)
    hands.check()
    raster, variable, item = found(source, asset)
    files = Files(
        raster, variable, target, uncertainty, evidence, reference, item, stac, overwrite, restart
    )
    options = Options(
        _version(),
        Wanted(scale, gsd, like),
        mode,
        draws,
        uncertainty is not None,
        evidence is not None,
        steps,
        seed,
        sensor,
        tile,
        hands.share(parse_memory(memory)),
        aoi,
    )
    for asked in (options.wanted, files, options):
        asked.check()
    name = _name_of(model, hands)
    inputs = Inputs(
        raster, variable, _choice(subdataset, bands), reference, name, precision, device
    )
    loaded = _loaded(model, precision, device)
    with ExitStack() as stack:
        run = Run(stack, inputs, loaded, options)
        folder = Path(target).parent
        refuse_what_does_not_fit(
            plan(run, folder, Path(target), measure=False, bounds=True), folder
        )
        sinks = files.open_sinks(stack, run)
        resumed = _make(run, sinks, hands, progress)
        sinks.commit()
    return _report(run, files, resumed, time.monotonic() - start)


def plan_scene(  # noqa: PLR0913 - its keywords are the product's options
    source: str | Path,
    target: str | Path | None = None,
    *,
    scale: float | None = None,
    gsd: float | None = None,
    like: str | Path | None = None,
    model: str | Path | Model | Backbone | None = None,
    reference: str | Path | None = None,
    mode: Mode = "fidelity",
    draws: int = 1,
    uncertainty: str | Path | None = None,
    evidence: str | Path | None = None,
    steps: int | None = None,
    seed: int = 0,
    sensor: str = "box",
    tile: int | None = None,
    memory: str | int | None = None,
    precision: Precision = "auto",
    device: str | None = None,
    aoi: tuple[float, float, float, float] | None = None,
    asset: str | None = None,
    subdataset: str | None = None,
    bands: Sequence[int | str] | None = None,
    measure: bool = True,
) -> PlanReport:
    """Say what :func:`upscale_scene` with the same arguments would make, and what it would take.

    Nothing is written. What it takes is estimated; how long, measured for some seconds on this device.

    Args:
        source: The scene.
        target: The result; None plans for the current folder.
        scale: As for :func:`upscale_scene`, and so are the others that are not named here.
        gsd: See there.
        like: See there.
        model: See there.
        reference: See there.
        mode: See there.
        draws: See there.
        uncertainty: See there.
        evidence: See there.
        steps: See there.
        seed: See there.
        sensor: See there.
        tile: See there.
        memory: See there.
        precision: See there.
        device: See there.
        aoi: See there.
        asset: See there.
        subdataset: See there.
        bands: See there.
        measure: Whether to measure how long it takes.

    Raises:
        UltraresError: Something cannot be done; what does not fit is no error here, but said in the report.
    """
    options = Options(
        _version(),
        Wanted(scale, gsd, like),
        mode,
        draws,
        uncertainty is not None,
        evidence is not None,
        steps,
        seed,
        sensor,
        tile,
        memory,
        aoi,
    )
    for asked in (options.wanted, options):
        asked.check()
    if target is not None:
        check_named(target)
    path = None if target is None else Path(target)
    folder = Path() if path is None else path.parent
    if not folder.is_dir():
        raise OutputError(f"{target} cannot be written: folder {folder} does not exist")
    raster, variable, _ = found(source, asset)
    inputs = Inputs(raster, variable, _choice(subdataset, bands), reference)
    loaded = _loaded(model, precision, device)
    with ExitStack() as stack:
        return plan(Run(stack, inputs, loaded, options), folder, path, measure=measure)


def check(sr: str | Path, lr: str | Path) -> CheckReport:
    """Check an upscaled file against its source: footprint, radiometry, masks, COG validity.

    Raises:
        RasterError: A file is missing or unreadable.
    """
    return check_files(sr, lr)


def degrade(
    source: str | Path,
    target: str | Path,
    *,
    scale: float,
    sensor: str = "bicubic",
    asset: str | None = None,
    subdataset: str | None = None,
    bands: Sequence[int | str] | None = None,
    overwrite: bool = False,
) -> DegradeReport:
    """Reduce a raster by a sensor model, to make low-resolution scenes for tests.

    Args:
        source: What :func:`upscale_scene` takes.
        target: The GeoTIFF to write.
        scale: Pixels of the source per pixel of the target, along one side: a whole number.
        sensor: How a pixel gathers light: ``box``, ``bicubic`` or ``mtf:VALUE``.
        asset: Which asset of a STAC item, or variable of a Zarr.
        subdataset: Which raster of a container.
        bands: Which of its bands.
        overwrite: Whether the target may be replaced.

    Raises:
        UltraresError: Something cannot be done; the message says what, where and what to do.
    """
    if not (2 <= scale <= MAX_SCALE and scale == int(scale)):
        raise OptionError(f"scale {scale:g}: degrade takes a whole number from 2 to {MAX_SCALE}")
    check_target(source, target, overwrite=overwrite)
    check_kind(target)
    if is_zarr(target):
        raise OutputError(
            f"{target} cannot be written: degrade makes GeoTIFFs; end the name in .tif"
        )
    size = degrade_file(
        source,
        target,
        int(scale),
        parse_sensor(sensor),
        asset=asset,
        choice=_choice(subdataset, bands),
        overwrite=overwrite,
    )
    return DegradeReport(str(target), size.width, size.height, sensor)


def describe_raster(
    path: str | Path,
    *,
    asset: str | None = None,
    subdataset: str | None = None,
    bands: Sequence[int | str] | None = None,
) -> dict[str, Any]:
    """What a raster is as ultrares sees it, as plain values.

    Args:
        path: What :func:`upscale_scene` takes.
        asset: Which asset of a STAC item, or variable of a Zarr.
        subdataset: Which raster of a container.
        bands: Which of its bands.

    Raises:
        RasterError: The file is missing, unreadable, or of a kind that is refused.
    """
    with open_raster(path, asset, _choice(subdataset, bands)) as scene:
        doubt = doubt_about_alpha(scene)
        return scene.describe() | ({} if doubt is None else {"doubt": doubt})


def _make(run: Run, sinks: Sinks, hands: Hands, progress: Progress | None) -> int:
    """Have the tiles made that are not there yet, by this process or by others, and written here.

    Returns:
        How many were there.
    """
    tiler, skip = run.tiler(sinks.tile), sinks.finished
    if skip:
        _LOG.info("resuming: %d of %d tiles are there", len(skip), len(tiler.places))
    others: dict[str, Any] = {
        "spread": sinks.spread,
        "layers": sinks.layers,
        "skip": skip,
        "on_progress": progress,
    }
    if not hands or len(skip) == len(tiler.places):
        write_tiles(tiler, sinks.product, **others)
        return len(skip)
    job = run.job_for_others(sinks.tile)
    with hands.client(run.budget.memory) as client:
        assert client is not None, "there are hands, and so a client"
        write_tiles_from_workers(client, job, tiler.places, sinks.product, **others)
    return len(skip)


def _report(run: Run, files: Files, resumed: int, seconds: float) -> UpscaleReport:
    """What was done."""
    grid, options = run.grid, run.options
    height, width = run.profile.shape
    return UpscaleReport(
        target=str(files.target),
        width=width,
        height=height,
        bands=run.scene.bands,
        dtype=str(run.scene.dtype),
        scale=grid.scale if grid.factor is None else grid.factor,
        model=run.model.name,
        mode=options.mode,
        sensor=options.sensor,
        seed=options.seed,
        draws=options.draws,
        seconds=seconds,
        megapixels_per_second=height * width / 1e6 / seconds,
        radiometry=_radiometry_in_words(run.sensor, grid),
        moved=run.moved,
        reference=None if run.inputs.reference is None else str(run.inputs.reference),
        uncertainty=None if files.uncertainty is None else str(files.uncertainty),
        evidence=None if files.evidence is None else str(files.evidence),
        stac=str(files.item_target) if files.stac else None,
        reference_shift=None if run.guide is None else shift_of(run.guide),
        resumed=resumed,
    )


def _loaded(
    model: str | Path | Model | Backbone | None, precision: Precision, device: str | None
) -> Model:
    if not isinstance(model, Model):
        return load(model, precision=precision, device=device)
    if precision != "auto" or device is not None:
        raise OptionError("the model is loaded: pass precision and device to ultrares.load")
    return model


def _name_of(model: str | Path | Model | Backbone | None, hands: Hands) -> str | None:
    """The model as other processes can load it.

    Raises:
        OptionError: They shall, and it is an object of this one.
    """
    if model is None:
        return None
    if isinstance(model, str | Path):
        return str(model)
    if hands:
        raise OptionError("workers load the model themselves: pass its name or its path as `model`")
    return None


def _radiometry_in_words(sensor: SensorModel, grid: TargetGrid) -> str:
    if not isinstance(sensor, Box):
        return f"held to {sensor.name}"
    return "area means kept" if grid.factor is None else "block means exact"


def _choice(subdataset: str | None, bands: Sequence[int | str] | None) -> Choice:
    if isinstance(bands, str):
        raise OptionError(f"bands {bands!r}: pass a list, such as {bands.split(',')}")
    return Choice(subdataset, None if bands is None else tuple(str(band) for band in bands))


def _version() -> str:
    from ultrares import __version__

    return __version__
