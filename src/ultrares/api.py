"""The Python face: load a model, upscale an image or a scene, check the result."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
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
from ultrares.methods.cascade import MAX_SCALE
from ultrares.metrics.scores import Scores
from ultrares.model import Model, check_spread, tiler_along
from ultrares.reports import DegradeReport, ModelInfo, UpscaleReport
from ultrares.scene.budget import cache_for, parse_memory, tile_for
from ultrares.scene.check import SPREAD, CheckReport
from ultrares.scene.check import check as check_files
from ultrares.scene.check_areas import AREAS, BLOCKS
from ultrares.scene.degrade import degrade as degrade_file
from ultrares.scene.grid_choice import Wanted
from ultrares.scene.names import short_name
from ultrares.scene.opening import Choice
from ultrares.scene.profile import SceneProfile
from ultrares.scene.radiometry import Radiometry
from ultrares.scene.reference import RasterReference, check_overlap, open_reference
from ultrares.scene.sink import CogSink, check_target, commit_together
from ultrares.scene.source import RasterSource
from ultrares.scene.target_grid import TargetGrid
from ultrares.scene.tile import write_tiles
from ultrares.scene.upscale import aoi_window
from ultrares.scene.windows import whole
from ultrares.sensor.models import Box, SensorModel, parse_sensor
from ultrares.types import Backbone, Mode

__all__ = [
    "EMBEDDED",
    "DegradeReport",
    "FolderScores",
    "Model",
    "ModelInfo",
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
    "upscale_scene",
]

Progress = Callable[[int, int], None]


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
    subdataset: str | None = None,
    bands: Sequence[int | str] | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> UpscaleReport:
    """Upscale a raster of any size into a cloud-optimised GeoTIFF.

    Args:
        source: The scene: a file, the folder or zip file of a Sentinel-2 product, or a path or URL that GDAL
            opens (docs/inputs.md).
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
        subdataset: Which raster of a container is upscaled, by its name or its number from 1; None for the
            only one, or the 10 m bands of a Sentinel-2 product.
        bands: Numbers from 1 or names of the bands to upscale; None for all, or all that show light in a
            Sentinel-2 product.
        overwrite: Whether existing files may be replaced.
        progress: Called with the output pixels done and their total.

    Raises:
        UltraresError: Something cannot be done; the message says what, where and what to do.
    """
    start = time.monotonic()
    files = _Files(source, target, uncertainty, reference, overwrite)
    wanted = Wanted(scale, gsd, like)
    wanted.check()
    files.check()
    parsed, choice = parse_sensor(sensor), _choice(subdataset, bands)
    if uncertainty is not None:
        check_spread(mode, draws)
    loaded = model if isinstance(model, Model) else load(model)
    shown = draws if mode == "perceptual" else 1
    with ExitStack() as stack:
        scene = stack.enter_context(RasterSource(source, choice))
        grid = wanted.on(scene.profile)
        route = loaded.route(
            grid.scale,
            mode=mode,
            draws=draws,
            steps=steps,
            seed=seed,
            sensor=parsed,
            with_reference=reference is not None,
        )
        radiometry = Radiometry.of(scene)
        guide = files.open_reference(stack, loaded, scene, radiometry)
        window, budget = aoi_window(scene.profile, aoi), parse_memory(memory)
        part = grid.part_over(window)
        tags = {
            "ULTRARES_MODEL": loaded.name,
            "ULTRARES_MODEL_SHA256": loaded.manifest.sha256 or "none",
            "ULTRARES_SCALE": f"{grid.scale:.12g}",
            "ULTRARES_GRID": BLOCKS if grid.factor else AREAS,
            "ULTRARES_EDGES_MOVED": f"{grid.moved(whole(scene.shape)):.9g}",
            "ULTRARES_MODE": mode,
            "ULTRARES_DRAWS": str(draws),
            "ULTRARES_STEPS": _steps_in_words(mode, steps),
            "ULTRARES_SEED": str(seed),
            "ULTRARES_SENSOR": sensor,
            "ULTRARES_SOURCE": short_name(source),
            **choice.tags(),
            **_reference_tags(reference, guide),
            "ULTRARES_VERSION": _version(),
        }
        profile = scene.profile.onto(grid.part(part))
        sink, spread = files.open_sinks(stack, profile, tags, shown)
        tiler = tiler_along(
            route,
            scene,
            grid,
            radiometry=radiometry,
            nodata=scene.profile.nodata,
            tile=tile_for(tile, budget, scene.bands, shown),
            cache_bytes=cache_for(budget),
            part=part,
            exact=isinstance(parsed, Box),
            reference=guide,
            with_spread=spread is not None,
            widening=loaded.widening,
        )
        write_tiles(tiler, sink, spread=spread, on_progress=progress)
        # The product comes last: where it is, its uncertainty is, too.
        commit_together(*([sink] if spread is None else [spread, sink]))
    seconds = time.monotonic() - start
    height, width = profile.shape
    return UpscaleReport(
        target=str(target),
        width=width,
        height=height,
        bands=scene.bands,
        dtype=str(scene.dtype),
        scale=grid.scale if grid.factor is None else grid.factor,
        model=loaded.name,
        mode=mode,
        sensor=sensor,
        seed=seed,
        draws=draws,
        seconds=seconds,
        megapixels_per_second=height * width / 1e6 / seconds,
        radiometry=_radiometry_in_words(parsed, grid),
        moved=grid.part(part).moved(window),
        reference=None if reference is None else str(reference),
        uncertainty=None if uncertainty is None else str(uncertainty),
        reference_shift=None if guide is None else _shift_of(guide),
    )


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


def describe_raster(
    path: str | Path,
    *,
    subdataset: str | None = None,
    bands: Sequence[int | str] | None = None,
) -> dict[str, Any]:
    """What a raster is as ultrares sees it, as plain values.

    Args:
        path: What :func:`upscale_scene` takes.
        subdataset: Which raster of a container.
        bands: Which of its bands.

    Raises:
        RasterError: The file is missing, unreadable, or of a kind that is refused.
    """
    with RasterSource(path, _choice(subdataset, bands)) as scene:
        return scene.describe()


@dataclass(frozen=True)
class _Files:
    """The files of a run: what is read, and what is written."""

    source: str | Path
    target: str | Path
    uncertainty: str | Path | None
    reference: str | Path | None
    overwrite: bool

    def check(self) -> None:
        """Refuse, before any work, outputs that cannot be written or would replace what is read."""
        outputs = [path for path in (self.target, self.uncertainty) if path is not None]
        inputs = [path for path in (self.source, self.reference) if path is not None]
        for output in outputs:
            for file in inputs:
                check_target(file, output, overwrite=self.overwrite)
        if len({Path(path).resolve() for path in outputs}) < len(outputs):
            raise OutputError(
                f"{self.uncertainty} cannot hold both the result and its uncertainty; "
                "choose another name for the uncertainty"
            )

    def open_reference(
        self, stack: ExitStack, model: Model, scene: RasterSource, radiometry: Radiometry
    ) -> RasterReference | None:
        """The reference on the scene, if there is one."""
        if self.reference is None:
            return None
        check_overlap(self.reference, scene)
        model.check_takes_reference()
        return stack.enter_context(open_reference(self.reference, scene, radiometry))

    def open_sinks(
        self,
        stack: ExitStack,
        profile: SceneProfile,
        tags: dict[str, str],
        draws: int,
    ) -> tuple[CogSink, CogSink | None]:
        """Sinks of the result and, if it is asked for, of the uncertainty."""
        content = {"ULTRARES_CONTENT": "scene" if draws == 1 else f"mean of {draws} draws"}
        sink = CogSink(self.target, profile, tags | content, overwrite=self.overwrite)
        stack.enter_context(sink)
        if self.uncertainty is None:
            return sink, None
        content = {"ULTRARES_CONTENT": f"{SPREAD} of {draws} draws"}
        spread = CogSink(
            self.uncertainty, profile.of_spread(), tags | content, overwrite=self.overwrite
        )
        return sink, stack.enter_context(spread)


def _radiometry_in_words(sensor: SensorModel, grid: TargetGrid) -> str:
    if not isinstance(sensor, Box):
        return f"held to {sensor.name}"
    return "area means kept" if grid.factor is None else "block means exact"


def _steps_in_words(mode: Mode, steps: int | None) -> str:
    if mode == "fidelity":
        return "none"
    return "the model's own" if steps is None else str(steps)


def _reference_tags(reference: str | Path | None, guide: RasterReference | None) -> dict[str, str]:
    """Where details came from; said in any case, or a scene that was made with one would pass its own on."""
    if reference is None or guide is None:
        return {"ULTRARES_REFERENCE": "none", "ULTRARES_REFERENCE_SHIFT": "none"}
    rows, cols = _shift_of(guide)
    return {
        "ULTRARES_REFERENCE": short_name(reference),
        "ULTRARES_REFERENCE_SHIFT": f"{rows:.4g},{cols:.4g}",
    }


def _shift_of(guide: RasterReference) -> tuple[float, float]:
    rows, cols = guide.shift
    return float(rows), float(cols)


def _choice(subdataset: str | None, bands: Sequence[int | str] | None) -> Choice:
    return Choice(subdataset, None if bands is None else tuple(str(band) for band in bands))


def _version() -> str:
    from ultrares import __version__

    return __version__
