"""One run: a scene, a model and options, looked at once and ready to be planned or made."""

from __future__ import annotations

import warnings
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import rasterio

from ultrares.job import Job, Origins
from ultrares.methods.options import check_spread
from ultrares.model import Model
from ultrares.scene.alpha import doubt_about_alpha
from ultrares.scene.budget import Budget, tile_for
from ultrares.scene.check_areas import AREAS, BLOCKS
from ultrares.scene.choice import ALL_OF_IT, Choice
from ultrares.scene.evidence import EVIDENCE
from ultrares.scene.grid_choice import Wanted
from ultrares.scene.identity import identity_of, identity_of_radiometry
from ultrares.scene.names import short_name
from ultrares.scene.opening import open_raster
from ultrares.scene.radiometry import Radiometry
from ultrares.scene.reference import RasterReference
from ultrares.scene.reference_opening import check_overlap, open_reference
from ultrares.scene.target_grid import TargetGrid
from ultrares.scene.tile import Tiler
from ultrares.scene.upscale import aoi_window
from ultrares.sensor.models import parse_sensor
from ultrares.types import Mode, Precision


@dataclass(frozen=True)
class Options:
    """What is asked for, as :func:`ultrares.upscale_scene` explains it, and by which version of ultrares.

    Attributes:
        memory: What this process may use.
    """

    version: str
    wanted: Wanted
    mode: Mode = "fidelity"
    draws: int = 1
    with_spread: bool = False
    with_evidence: bool = False
    steps: int | None = None
    seed: int = 0
    sensor: str = "box"
    tile: int | None = None
    memory: str | int | None = None
    aoi: tuple[float, float, float, float] | None = None

    def check(self) -> None:
        """Refuse, before any file is opened, what makes no sense.

        Raises:
            OptionError: An option does not, or does not go with another.
        """
        parse_sensor(self.sensor)
        if self.with_spread:
            check_spread(self.mode, self.draws)

    @property
    def shown(self) -> int:
        """How many draws are made side by side."""
        return self.draws if self.mode == "perceptual" else 1


@dataclass(frozen=True)
class Inputs:
    """What a product is made from.

    Attributes:
        source: The scene.
        variable: Which array of a Zarr is the scene.
        choice: Which subdataset and bands of the scene.
        reference: A finer raster of the place.
        model: The model's name or path, by which other processes load it; None for the default, or where no
            others need it.
        precision: How they convolve.
        device: Where they do.
    """

    source: str | Path
    variable: str | None = None
    choice: Choice = ALL_OF_IT
    reference: str | Path | None = None
    model: str | None = None
    precision: Precision = "auto"
    device: str | None = None


class Run:
    """A scene that was opened, where its product lies, and what makes it.

    Args:
        stack: Closes what is opened.
        inputs: The scene and what goes with it.
        model: Makes the product.
        options: What is asked for.

    Attributes:
        loaded: Bytes that the process used before the scene was opened.

    Raises:
        UltraresError: Something cannot be done.
    """

    def __init__(self, stack: ExitStack, inputs: Inputs, model: Model, options: Options) -> None:
        self.inputs, self.model, self.options = inputs, model, options
        self.loaded = psutil.Process().memory_info().rss
        self.sensor = parse_sensor(options.sensor)
        self.budget = Budget.of(options.memory)
        # GDAL would take a share of the machine's memory for the scene's blocks.
        stack.enter_context(rasterio.Env(GDAL_CACHEMAX=self.budget.blocks))
        self.scene = open_raster(inputs.source, inputs.variable, inputs.choice)
        stack.enter_context(self.scene)
        self.grid = options.wanted.on(self.scene.profile)
        self.window = aoi_window(self.scene.profile, options.aoi)
        self.part = self.grid.part_over(self.window)
        self.profile = self.scene.profile.onto(self.grid.part(self.part))
        self.route = self.job(self.tile).route(model)
        self.radiometry = Radiometry.of(self.scene)
        doubt = doubt_about_alpha(self.scene)
        if doubt is not None:
            warnings.warn(f"{short_name(inputs.source)}: {doubt}", stacklevel=3)
        self.guide = self._open_reference(stack)
        if self.guide is not None and not self.guide.shows_the_scene:
            warnings.warn(self.guide.unlike_the_scene, stacklevel=3)
            self.guide, self.inputs = None, replace(inputs, reference=None)
            self.route = self.job(self.tile).route(model)
        elif self.guide is not None and not self.guide.was_judged:
            warnings.warn(self.guide.hardly_on_the_scene, stacklevel=3)

    @property
    def tile(self) -> int:
        """Side of the tiles that memory allows, in output pixels."""
        return tile_for(self.options.tile, self.budget.memory, self.scene.bands, self.options.shown)

    @property
    def in_blocks(self) -> int | None:
        """Output pixels along the side of a scene pixel, where those are blocks of whole ones."""
        return self.grid.factor if self.grid.covers(self.scene.shape) else None

    def job(self, stored: int) -> Job:
        """The description of the product.

        Args:
            stored: Side of the tiles as they are kept, which may have been begun with more memory.
        """
        inputs, options = self.inputs, self.options
        return Job(
            str(inputs.source),
            self.grid,
            self.part,
            model=inputs.model,
            precision=inputs.precision,
            device=inputs.device,
            reference=None if inputs.reference is None else str(inputs.reference),
            mode=options.mode,
            draws=options.draws,
            steps=options.steps,
            seed=options.seed,
            sensor=options.sensor,
            tile=stored,
            piece=self.tile,
            cache_bytes=self.budget.cells,
            with_spread=options.with_spread,
            with_evidence=options.with_evidence,
            variable=inputs.variable,
            choice=inputs.choice,
        )

    def job_for_others(self, stored: int) -> Job:
        """The description for other processes, which find out whether they have the same scene and model."""
        origins = Origins.of(self.model, self.scene, self.radiometry, self.guide)
        return self.job(stored).sent(origins)

    def tiler(self, stored: int) -> Tiler:
        """What makes the tiles in this process, in pieces where memory is short.

        Args:
            stored: Side of the tiles as they are kept.
        """
        return self.job(stored).tiler(
            self.model, self.route, self.scene, self.radiometry, self.guide
        )

    @property
    def moved(self) -> float:
        """How far an edge of the product lies from the scene's pixels' at most, in scene pixels."""
        return self.grid.part(self.part).moved_within(self.scene.shape)

    @property
    def tags(self) -> dict[str, str]:
        """Where the product comes from, as it is written into it."""
        options, inputs = self.options, self.inputs
        return {
            "ULTRARES_MODEL": self.model.name,
            "ULTRARES_MODEL_SHA256": self.model.manifest.sha256 or "none",
            "ULTRARES_SCALE": f"{self.grid.scale:.12g}",
            "ULTRARES_GRID": BLOCKS if self.grid.factor else AREAS,
            "ULTRARES_EDGES_MOVED": f"{self.moved:.9g}",
            "ULTRARES_MODE": options.mode,
            "ULTRARES_DRAWS": str(options.draws),
            "ULTRARES_STEPS": _steps_in_words(options.mode, options.steps),
            "ULTRARES_SEED": str(options.seed),
            "ULTRARES_SENSOR": options.sensor,
            "ULTRARES_SOURCE": short_name(inputs.source),
            **inputs.choice.tags(),
            **_reference_tags(inputs.reference, self.guide),
            "ULTRARES_EFFECTIVE_RESOLUTION": _effective_in_words(
                self.model,
                self.grid,
                measured=(options.mode, options.sensor, inputs.reference)
                == ("fidelity", "box", None),
            ),
            "ULTRARES_VERSION": options.version,
        }

    @property
    def facts(self) -> dict[str, str] | None:
        """All that the pixels depend on, in words: equal facts, equal files. Who makes them is none of it.

        None for a model whose weights cannot be told from others; its runs cannot be gone on with.
        """
        identity = self.model.identity(self.route)
        if identity is None:
            return None
        told = {key.removeprefix("ULTRARES_").lower(): value for key, value in self.tags.items()}
        inputs, axes = self.inputs, (self.grid.rows, self.grid.cols)
        place = ", ".join(f"{axis.start!r} {axis.pitch!r} {axis.size}" for axis in axes)
        more = {} if inputs.reference is None else identity_of(inputs.reference, "reference file")
        return {
            **told,
            **identity,
            **identity_of(inputs.source),
            **more,
            "variable": inputs.variable or "none",
            "layers": EVIDENCE if self.options.with_evidence else "none",
            "grid on the scene": place,
            "part": " ".join(map(str, self.part)),
            "radiometry": identity_of_radiometry(self.radiometry),
        }

    def _open_reference(self, stack: ExitStack) -> RasterReference | None:
        reference = self.inputs.reference
        if reference is None:
            return None
        check_overlap(reference, self.scene)
        self.model.check_takes_reference()
        return stack.enter_context(open_reference(reference, self.scene, self.radiometry))


def shift_of(guide: RasterReference) -> tuple[float, float]:
    """By how many rows and columns of the scene a reference was moved."""
    rows, cols = guide.shift
    return float(rows), float(cols)


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
    rows, cols = shift_of(guide)
    return {
        "ULTRARES_REFERENCE": short_name(reference),
        "ULTRARES_REFERENCE_SHIFT": f"{rows:.4g},{cols:.4g}",
    }
