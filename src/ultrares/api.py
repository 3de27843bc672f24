"""The Python face: load a model, upscale an image or a scene, check the result."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ultrares.catalogue import (
    EMBEDDED,
    Precision,
    describe_model,
    load_saved,
    locate,
    models,
    residual_loader,
)
from ultrares.errors import OptionError, OutputError
from ultrares.evaluation.files import evaluate
from ultrares.evaluation.folders import FolderScores
from ultrares.job import Job, Options, shift_of
from ultrares.methods.cascade import MAX_SCALE
from ultrares.metrics.scores import Scores
from ultrares.model import Model, check_spread
from ultrares.planning import plan, refuse_what_does_not_fit
from ultrares.reports import DegradeReport, ModelInfo, PlanReport, UpscaleReport
from ultrares.scene.check import SPREAD, CheckReport
from ultrares.scene.check import check as check_files
from ultrares.scene.degrade import degrade as degrade_file
from ultrares.scene.grid_choice import Wanted
from ultrares.scene.sink import CogSink, check_target, commit_together
from ultrares.scene.source import RasterSource
from ultrares.scene.staging import Staging, is_published
from ultrares.scene.target_grid import TargetGrid
from ultrares.scene.tile import write_tiles
from ultrares.sensor.models import Box, SensorModel, parse_sensor
from ultrares.types import Backbone, Mode

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

Progress = Callable[[int, int], None]

_LOG = logging.getLogger(__name__)


def load(
    name: str | Path | Backbone | None = None,
    *,
    precision: Precision = "auto",
    device: str | None = None,
) -> Model:
    """Load a model: the embedded default, a name from :func:`models`, a file, a folder, or a hub id.

    Args:
        name: None for the default. Otherwise a name, a folder with config.json and
            model.safetensors, ``owner/repository`` on the Hugging Face hub, or a backbone: the file of a
            network (.pth, .safetensors, .onnx, .ts), a folder with card.toml, or an object, such as
            :meth:`ultrares.Backbone.wrap` makes (docs/plugins.md).
        precision: ``bf16`` and ``fp32`` say how to convolve; ``auto`` is bf16 where the processor has it,
            but for other people's networks fp32, or as they were wrapped.
        device: A torch device; None is a GPU if there is one, else the CPU.

    Raises:
        ModelError: There is no such model, or its files are corrupt.
        OptionError: There is no such precision or device.
    """
    saved = load_saved(name, precision=precision, device=device)
    return Model(saved, residual=residual_loader(precision=precision, device=device))


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
    steps: int | None = None,
    seed: int = 0,
    sensor: str = "box",
    tile: int | None = None,
    memory: str | int | None = None,
    aoi: tuple[float, float, float, float] | None = None,
    overwrite: bool = False,
    restart: bool = False,
    progress: Progress | None = None,
) -> UpscaleReport:
    """Upscale a raster of any size into a cloud-optimised GeoTIFF.

    Finished tiles are kept in a hidden folder beside the target until it is published. If the run ends
    early, whatever the reason, the same call goes on from there and ends in the identical file.

    Args:
        source: The scene.
        target: The result.
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
        steps: Denoiser calls per level of a sample.
        seed: Seed of the samples.
        sensor: ``box``, ``bicubic`` or ``mtf:VALUE``.
        tile: Side of the square of output pixels written at a time; the result does not depend on it.
        memory: What the process may use, such as ``"4GB"``; chooses the tile.
        aoi: Left, bottom, right, top in the scene's CRS: upscale only the source pixels it touches.
            The result equals the crop of the full one.
        overwrite: Whether existing files may be replaced.
        restart: Throw away what an earlier run left unfinished.
        progress: Called with the output pixels done and their total, after each tile that is kept; what it
            raises ends the run between two tiles.

    Raises:
        UltraresError: Something cannot be done; the message says what, where and what to do.
    """
    start = time.monotonic()
    files = _Files(source, target, uncertainty, reference, overwrite)
    options = Options(
        _version(),
        Wanted(scale, gsd, like),
        mode,
        draws,
        uncertainty is not None,
        steps,
        seed,
        sensor,
        tile,
        memory,
        aoi,
    )
    options.wanted.check()
    files.check(restart=restart)
    parse_sensor(sensor)
    if uncertainty is not None:
        check_spread(mode, draws)
    loaded = model if isinstance(model, Model) else load(model)
    with ExitStack() as stack:
        job = Job(stack, source, reference, loaded, options)
        folder = Path(target).parent
        refuse_what_does_not_fit(plan(job, folder, Path(target), measure=False), folder)
        sink, spread, stored = files.open_sinks(stack, job, restart=restart)
        tiler = job.tiler(stored)
        skip = sink.finished if spread is None else sink.finished & spread.finished
        if skip:
            _LOG.info("resuming: %d of %d tiles are there", len(skip), len(tiler.places))
        resumed = len(skip)
        write_tiles(tiler, sink, spread=spread, skip=set(skip), on_progress=progress)
        # The product comes last: where it is, its uncertainty is, too.
        commit_together(*([sink] if spread is None else [spread, sink]))
    return _report(job, files, resumed, time.monotonic() - start)


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
    steps: int | None = None,
    seed: int = 0,
    sensor: str = "box",
    tile: int | None = None,
    memory: str | int | None = None,
    aoi: tuple[float, float, float, float] | None = None,
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
        steps: See there.
        seed: See there.
        sensor: See there.
        tile: See there.
        memory: See there.
        aoi: See there.
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
        steps,
        seed,
        sensor,
        tile,
        memory,
        aoi,
    )
    options.wanted.check()
    parse_sensor(sensor)
    if uncertainty is not None:
        check_spread(mode, draws)
    path = None if target is None else Path(target)
    folder = Path() if path is None else path.parent
    if not folder.is_dir():
        raise OutputError(f"{target} cannot be written: folder {folder} does not exist")
    loaded = model if isinstance(model, Model) else load(model)
    with ExitStack() as stack:
        job = Job(stack, source, reference, loaded, options)
        return plan(job, folder, path, measure=measure)


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
    overwrite: bool = False,
) -> DegradeReport:
    """Reduce a raster by a sensor model, to make low-resolution scenes for tests.

    Raises:
        UltraresError: Something cannot be done; the message says what, where and what to do.
    """
    if not (2 <= scale <= MAX_SCALE and scale == int(scale)):
        raise OptionError(f"scale {scale:g}: degrade takes a whole number from 2 to {MAX_SCALE}")
    check_target(source, target, overwrite=overwrite)
    size = degrade_file(source, target, int(scale), parse_sensor(sensor), overwrite=overwrite)
    return DegradeReport(str(target), size.width, size.height, sensor)


def describe_raster(path: str | Path) -> dict[str, Any]:
    """What a raster is as ultrares sees it, as plain values.

    Raises:
        RasterError: The file is missing, unreadable, or of a kind that is refused.
    """
    with RasterSource(path) as scene:
        return scene.describe()


@dataclass(frozen=True)
class _Files:
    """The files of a run: what is read, and what is written."""

    source: str | Path
    target: str | Path
    uncertainty: str | Path | None
    reference: str | Path | None
    overwrite: bool

    def check(self, *, restart: bool) -> None:
        """Refuse, before any work, outputs that cannot be written or would replace what is read."""
        outputs = [path for path in (self.target, self.uncertainty) if path is not None]
        inputs = [path for path in (self.source, self.reference) if path is not None]
        for output in outputs:
            # A run that was ended while it tidied up has left its own product.
            own = is_published(output) and not restart
            for file in inputs:
                check_target(file, output, overwrite=self.overwrite or own)
        if len({Path(path).resolve() for path in outputs}) < len(outputs):
            raise OutputError(
                f"{self.uncertainty} cannot hold both the result and its uncertainty; "
                "choose another name for the uncertainty"
            )

    def open_sinks(
        self, stack: ExitStack, job: Job, *, restart: bool
    ) -> tuple[CogSink, CogSink | None, int]:
        """Sinks of the result and, if it is asked for, of the uncertainty; and the side of their tiles."""
        shown, cache, facts = job.options.shown, job.budget.blocks, job.facts
        content = "scene" if shown == 1 else f"mean of {shown} draws"
        staging = self._staging(self.target, facts, content, job.tile, restart=restart)
        tags = job.tags | {"ULTRARES_CONTENT": content}
        sink = CogSink(
            self.target, job.profile, tags, overwrite=self.overwrite, staging=staging, cache=cache
        )
        stack.enter_context(sink)
        if self.uncertainty is None:
            return sink, None, staging.tile
        content = f"{SPREAD} of {shown} draws"
        if facts is not None:
            facts["side of tiles"] = str(staging.tile)
        other = self._staging(self.uncertainty, facts, content, staging.tile, restart=restart)
        spread = CogSink(
            self.uncertainty,
            job.profile.of_spread(),
            job.tags | {"ULTRARES_CONTENT": content},
            overwrite=self.overwrite,
            staging=other,
            cache=cache,
        )
        return sink, stack.enter_context(spread), staging.tile

    def _staging(
        self,
        target: str | Path,
        facts: dict[str, str] | None,
        content: str,
        tile: int,
        *,
        restart: bool,
    ) -> Staging:
        """The staging folder of a result, which is still free to be made."""
        job = None if facts is None else facts | {"content": content}
        staging = Staging(target, job, tile=tile, restart=restart)
        try:
            check_target(self.source, target, overwrite=self.overwrite or staging.published)
        except BaseException:
            staging.close()
            raise
        return staging


def _report(job: Job, files: _Files, resumed: int, seconds: float) -> UpscaleReport:
    """What was done."""
    grid, options = job.grid, job.options
    height, width = job.profile.shape
    return UpscaleReport(
        target=str(files.target),
        width=width,
        height=height,
        bands=job.scene.bands,
        dtype=str(job.scene.dtype),
        scale=grid.scale if grid.factor is None else grid.factor,
        model=job.model.name,
        mode=options.mode,
        sensor=options.sensor,
        seed=options.seed,
        draws=options.draws,
        seconds=seconds,
        megapixels_per_second=height * width / 1e6 / seconds,
        radiometry=_radiometry_in_words(job.sensor, grid),
        moved=grid.part(job.part).moved(job.window),
        reference=None if files.reference is None else str(files.reference),
        uncertainty=None if files.uncertainty is None else str(files.uncertainty),
        reference_shift=None if job.guide is None else shift_of(job.guide),
        resumed=resumed,
    )


def _radiometry_in_words(sensor: SensorModel, grid: TargetGrid) -> str:
    if not isinstance(sensor, Box):
        return f"held to {sensor.name}"
    return "area means kept" if grid.factor is None else "block means exact"


def _version() -> str:
    from ultrares import __version__

    return __version__
