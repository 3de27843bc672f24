"""The Python face: load a model, upscale an image or a scene, check the result."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ultrares.catalogue import describe_model, locate, models
from ultrares.cluster.client import Hands
from ultrares.cluster.gather import write_tiles_from_workers
from ultrares.errors import OptionError, OutputError
from ultrares.evaluation.files import evaluate
from ultrares.evaluation.folders import FolderScores
from ultrares.job import Job, Origins
from ultrares.loading import load
from ultrares.methods.cascade import MAX_SCALE
from ultrares.methods.shelves import EMBEDDED
from ultrares.metrics.scores import Scores
from ultrares.model import Model, check_spread
from ultrares.reports import DegradeReport, ModelInfo, UpscaleReport
from ultrares.scene.budget import cache_for, parse_memory, tile_for
from ultrares.scene.check import SPREAD, CheckReport
from ultrares.scene.check import check as check_files
from ultrares.scene.check_areas import AREAS, BLOCKS
from ultrares.scene.choice import Choice
from ultrares.scene.degrade import degrade as degrade_file
from ultrares.scene.evidence import EVIDENCE, EVIDENCE_IN_WORDS, profile_of_evidence
from ultrares.scene.grid_choice import Wanted
from ultrares.scene.names import short_name
from ultrares.scene.opening import FileSink, Raster, open_raster, open_sink
from ultrares.scene.profile import SceneProfile
from ultrares.scene.radiometry import Radiometry
from ultrares.scene.reference import RasterReference, check_overlap, open_reference
from ultrares.scene.sink import check_target, commit_together
from ultrares.scene.stac_input import asset_path, is_item, item_times
from ultrares.scene.stac_item import Origins as ItemOrigins
from ultrares.scene.stac_item import StacFile, Written, times_of
from ultrares.scene.target_grid import TargetGrid
from ultrares.scene.tile import Tiler, write_tiles
from ultrares.scene.upscale import aoi_window
from ultrares.scene.windows import whole
from ultrares.scene.zarr_layout import is_zarr
from ultrares.scene.zarr_sink import layout_for
from ultrares.sensor.models import Box, SensorModel, parse_sensor
from ultrares.types import Backbone, Mode

if TYPE_CHECKING:
    from distributed import Client

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


def upscale_scene(  # noqa: PLR0913, PLR0915 - its keywords are the product's options
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
    aoi: tuple[float, float, float, float] | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    asset: str | None = None,
    stac: bool = False,
    subdataset: str | None = None,
    bands: Sequence[int | str] | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> UpscaleReport:
    """Upscale a raster of any size into a cloud-optimised GeoTIFF or a Zarr.

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
        progress: Called with the output pixels done and their total.

    Raises:
        UltraresError: Something cannot be done; the message says what, where and what to do.
    """
    start = time.monotonic()
    files = _Files.found(
        source, asset, target, uncertainty, evidence, reference, stac=stac, overwrite=overwrite
    )
    hands, wanted = Hands(workers, scheduler), Wanted(scale, gsd, like)
    for asked in (hands, wanted, files):
        asked.check()
    parsed, choice = parse_sensor(sensor), _choice(subdataset, bands)
    if uncertainty is not None:
        check_spread(mode, draws)
    loaded = model if isinstance(model, Model) else load(model)
    shown = draws if mode == "perceptual" else 1
    with ExitStack() as stack:
        scene = open_raster(files.source, files.variable, choice)
        stack.enter_context(scene)
        grid = wanted.on(scene.profile)
        window, budget = aoi_window(scene.profile, aoi), hands.share(parse_memory(memory))
        part = grid.part_over(window)
        job = Job(
            str(files.source),
            grid,
            part,
            variable=files.variable,
            choice=choice,
            model=_name_of(model, hands),
            reference=None if reference is None else str(reference),
            mode=mode,
            draws=draws,
            steps=steps,
            seed=seed,
            sensor=sensor,
            tile=tile_for(tile, budget, scene.bands, shown),
            cache_bytes=cache_for(budget),
            with_spread=uncertainty is not None,
            with_evidence=evidence is not None,
        )
        route = job.route(loaded)
        radiometry = Radiometry.of(scene)
        guide = files.open_reference(stack, loaded, scene, radiometry)
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
            "ULTRARES_SOURCE": short_name(files.source),
            **choice.tags(),
            **_reference_tags(reference, guide),
            "ULTRARES_EFFECTIVE_RESOLUTION": _effective_in_words(
                loaded, grid, measured=(mode, sensor, reference) == ("fidelity", "box", None)
            ),
            "ULTRARES_VERSION": _version(),
        }
        profile = scene.profile.onto(grid.part(part))
        sinks = files.open_sinks(
            stack, scene.profile, profile, tags, shown, (job.tile, grid.factor)
        )
        job = replace(job, tile=sinks.tile)
        tiler = job.tiler(loaded, route, scene, radiometry, guide)
        sent = job.sent(Origins.of(loaded, scene, radiometry))
        with hands.client(budget) as client:
            _write(tiler, sinks, progress, client=client, job=sent)
        sinks.commit()
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
        evidence=None if evidence is None else str(evidence),
        stac=str(files.item_target) if stac else None,
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
    with open_raster(path, choice=_choice(subdataset, bands)) as scene:
        return scene.describe()


@dataclass(frozen=True)
class _Sinks:
    """Where the pixels of a run go.

    Attributes:
        tile: Output pixels a side that are best written at once.
        product: Of the result.
        spread: Of the uncertainty.
        layers: Of what else was asked for, by name.
        item: The STAC item of all of them.
    """

    tile: int
    product: FileSink
    spread: FileSink | None
    layers: dict[str, FileSink]
    item: StacFile | None

    def commit(self) -> None:
        """Publish all: the product after what goes with it, the item after all that it names."""
        before = [*([] if self.spread is None else [self.spread]), *self.layers.values()]
        after = [] if self.item is None else [self.item]
        commit_together(*before, self.product, *after)


@dataclass(frozen=True)
class _Files:
    """The files of a run: what is read, and what is written."""

    source: str | Path
    variable: str | None
    target: str | Path
    uncertainty: str | Path | None
    evidence: str | Path | None
    reference: str | Path | None
    item: str | Path | None
    stac: bool
    overwrite: bool

    @classmethod
    def found(
        cls,
        source: str | Path,
        asset: str | None,
        target: str | Path,
        uncertainty: str | Path | None,
        evidence: str | Path | None,
        reference: str | Path | None,
        *,
        stac: bool,
        overwrite: bool,
    ) -> _Files:
        """The files of a run, the raster of a STAC item found."""
        item = source if is_item(source) else None
        if item is not None:
            source, asset = asset_path(item, asset), None
        return cls(source, asset, target, uncertainty, evidence, reference, item, stac, overwrite)

    @property
    def item_target(self) -> Path:
        """Where the STAC item goes."""
        return Path(self.target).with_suffix(".json")

    @property
    def outputs(self) -> list[str | Path]:
        """All that is written."""
        item = self.item_target if self.stac else None
        paths = (self.target, self.uncertainty, self.evidence, item)
        return [path for path in paths if path is not None]

    def check(self) -> None:
        """Refuse, before any work, outputs that cannot be written or would replace what is read."""
        inputs = [path for path in (self.source, self.item, self.reference) if path is not None]
        for output in self.outputs:
            for file in inputs:
                check_target(file, output, overwrite=self.overwrite)
        names = {"uncertainty": self.uncertainty, "evidence": self.evidence}
        taken = [Path(self.target).resolve()]
        for name, path in names.items():
            if path is None:
                continue
            if Path(path).resolve() in taken:
                raise OutputError(
                    f"{path} cannot hold both the result and its {name}; choose another name for the {name}"
                )
            taken.append(Path(path).resolve())

    def open_reference(
        self, stack: ExitStack, model: Model, scene: Raster, radiometry: Radiometry
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
        scene: SceneProfile,
        profile: SceneProfile,
        tags: dict[str, str],
        draws: int,
        tile: tuple[int, int | None],
    ) -> _Sinks:
        """Sinks of the result and of all else that is asked for.

        Args:
            stack: Closes them.
            scene: Profile of the scene.
            profile: Of the result.
            tags: Provenance.
            draws: Number of draws.
            tile: Side of a tile, and output pixels per scene pixel where that is whole.
        """
        layout = layout_for(*tile) if any(map(is_zarr, self.outputs)) else None

        def opened(path: str | Path, profile: SceneProfile, content: str) -> FileSink:
            sink = open_sink(
                path,
                profile,
                tags | {"ULTRARES_CONTENT": content},
                overwrite=self.overwrite,
                layout=layout,
            )
            stack.enter_context(sink)
            return sink

        product = opened(self.target, profile, "scene" if draws == 1 else f"mean of {draws} draws")
        spread, layers, item = None, {}, None
        if self.uncertainty is not None:
            content = f"{SPREAD} of {draws} draws"
            spread = opened(self.uncertainty, profile.of_spread(), content)
        if self.evidence is not None:
            layers[EVIDENCE] = opened(
                self.evidence, profile_of_evidence(profile), EVIDENCE_IN_WORDS
            )
        if self.stac:
            item = self.stac_file(scene, profile, tags, product, spread, layers)
            stack.enter_context(item)
        return _Sinks(tile[0] if layout is None else layout.shard, product, spread, layers, item)

    def stac_file(
        self,
        scene: SceneProfile,
        profile: SceneProfile,
        tags: dict[str, str],
        sink: FileSink,
        spread: FileSink | None,
        layers: dict[str, FileSink],
    ) -> StacFile:
        """The STAC item of all that is written."""
        written = [Written("product", sink, profile, "The finer scene", ("data",))]
        if spread is not None:
            title = "Standard deviation of the draws"
            roles = ("metadata", "uncertainty")
            written.append(Written("uncertainty", spread, profile.of_spread(), title, roles))
        for name, layer in layers.items():
            title = "How much the input does not explain"
            roles = ("metadata", name)
            written.append(Written(name, layer, profile_of_evidence(profile), title, roles))
        said = None if self.item is None else item_times(self.item)
        origins = ItemOrigins(
            source=str(self.source),
            item=None if self.item is None else str(self.item),
            times=said or times_of(scene, str(self.source)),
            model=_model_facts(tags),
            version=tags["ULTRARES_VERSION"],
            lineage=_lineage(tags),
        )
        return StacFile(self.item_target, written, origins, overwrite=self.overwrite)


def _lineage(tags: dict[str, str]) -> str:
    return (
        f"{tags['ULTRARES_SOURCE']} made finer by {tags['ULTRARES_SCALE']} with ultrares "
        f"{tags['ULTRARES_VERSION']}, model {tags['ULTRARES_MODEL']}, mode {tags['ULTRARES_MODE']}"
    )


def _model_facts(tags: dict[str, str]) -> dict[str, Any]:
    """What made a product, for its STAC item."""
    options = ("SCALE", "MODE", "DRAWS", "STEPS", "SEED", "SENSOR", "REFERENCE")
    return {
        "name": tags["ULTRARES_MODEL"],
        "sha256": tags["ULTRARES_MODEL_SHA256"],
        "task": "super-resolution",
        "effective_resolution": tags["ULTRARES_EFFECTIVE_RESOLUTION"],
        "hyperparameters": {name.lower(): tags[f"ULTRARES_{name}"] for name in options},
    }


def _write(
    tiler: Tiler, sinks: _Sinks, progress: Progress | None, *, client: Client | None, job: Job
) -> None:
    """Have all tiles made, by a cluster's workers if there is a client of one, and written here."""
    if client is None:
        write_tiles(
            tiler, sinks.product, spread=sinks.spread, layers=sinks.layers, on_progress=progress
        )
    else:
        write_tiles_from_workers(
            client,
            job,
            tiler.places,
            sinks.product,
            spread=sinks.spread,
            layers=sinks.layers,
            on_progress=progress,
        )


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


def _effective_in_words(model: Model, grid: TargetGrid, *, measured: bool) -> str:
    """What the card says, for it cannot be measured without the truth: invented sharpness is sharp, too."""
    pixel = model.effective_pixel(grid.factor) if measured and grid.factor else None
    return "not measured" if pixel is None else f"{pixel:g} output pixels, by the model's card"


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
