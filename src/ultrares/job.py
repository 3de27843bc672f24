"""One job: a scene, a model and options, looked at once and ready to be planned or made."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import psutil
import rasterio

from ultrares.model import Model, tiler_along
from ultrares.scene.budget import Budget, tile_for
from ultrares.scene.check_areas import AREAS, BLOCKS
from ultrares.scene.grid_choice import Wanted
from ultrares.scene.halving import HalvingTiler
from ultrares.scene.identity import identity_of, identity_of_radiometry
from ultrares.scene.radiometry import Radiometry
from ultrares.scene.reference import RasterReference, check_overlap, open_reference
from ultrares.scene.source import RasterSource
from ultrares.scene.tile import Tiler
from ultrares.scene.upscale import aoi_window
from ultrares.scene.windows import whole
from ultrares.sensor.models import Box, parse_sensor
from ultrares.types import Mode


@dataclass(frozen=True)
class Options:
    """What is asked for, as :func:`ultrares.upscale_scene` explains it, and by which version of ultrares."""

    version: str
    wanted: Wanted
    mode: Mode = "fidelity"
    draws: int = 1
    with_spread: bool = False
    steps: int | None = None
    seed: int = 0
    sensor: str = "box"
    tile: int | None = None
    memory: str | int | None = None
    aoi: tuple[float, float, float, float] | None = None

    @property
    def shown(self) -> int:
        """How many draws are made side by side."""
        return self.draws if self.mode == "perceptual" else 1


class Job:
    """A scene that was opened, where its product lies, and what makes it.

    Args:
        stack: Closes what is opened.
        source: The scene.
        reference: A finer raster of the place.
        model: Makes it.
        options: What is asked for.

    Attributes:
        loaded: Bytes that the process used before the scene was opened.

    Raises:
        UltraresError: Something cannot be done.
    """

    def __init__(
        self,
        stack: ExitStack,
        source: str | Path,
        reference: str | Path | None,
        model: Model,
        options: Options,
    ) -> None:
        self.source, self.reference, self.model, self.options = source, reference, model, options
        self.loaded = psutil.Process().memory_info().rss
        self.sensor = parse_sensor(options.sensor)
        self.budget = Budget.of(options.memory)
        # GDAL would take a share of the machine's memory for the scene's blocks.
        stack.enter_context(rasterio.Env(GDAL_CACHEMAX=self.budget.blocks))
        self.scene = stack.enter_context(RasterSource(source))
        self.grid = options.wanted.on(self.scene.profile)
        self.route = model.route(
            self.grid.scale,
            mode=options.mode,
            draws=options.draws,
            steps=options.steps,
            seed=options.seed,
            sensor=self.sensor,
            with_reference=reference is not None,
        )
        self.radiometry = Radiometry.of(self.scene)
        self.guide = self._open_reference(stack)
        self.window = aoi_window(self.scene.profile, options.aoi)
        self.part = self.grid.part_over(self.window)
        self.profile = self.scene.profile.onto(self.grid.part(self.part))

    @property
    def tile(self) -> int:
        """Side of the tiles that are made, in output pixels."""
        return tile_for(self.options.tile, self.budget.memory, self.scene.bands, self.options.shown)

    @property
    def in_blocks(self) -> int | None:
        """Output pixels along the side of a scene pixel, where those are blocks of whole ones."""
        return self.grid.factor if self.grid.covers(self.scene.shape) else None

    @property
    def tags(self) -> dict[str, str]:
        """Where the product comes from, as it is written into it."""
        options, manifest = self.options, self.model.manifest
        return {
            "ULTRARES_MODEL": self.model.name,
            "ULTRARES_MODEL_SHA256": manifest.sha256 or "none",
            "ULTRARES_SCALE": f"{self.grid.scale:.12g}",
            "ULTRARES_GRID": BLOCKS if self.grid.factor else AREAS,
            "ULTRARES_EDGES_MOVED": f"{self.grid.moved(whole(self.scene.shape)):.9g}",
            "ULTRARES_MODE": options.mode,
            "ULTRARES_DRAWS": str(options.draws),
            "ULTRARES_STEPS": _steps_in_words(options.mode, options.steps),
            "ULTRARES_SEED": str(options.seed),
            "ULTRARES_SENSOR": options.sensor,
            "ULTRARES_SOURCE": Path(str(self.source)).name,
            **_reference_tags(self.reference, self.guide),
            "ULTRARES_VERSION": options.version,
        }

    @property
    def facts(self) -> dict[str, str] | None:
        """All that the pixels depend on, in words: equal facts, equal files.

        None for a model whose weights cannot be told from others; its jobs cannot be gone on with.
        """
        identity = self.model.identity(self.route)
        if identity is None:
            return None
        told = {key.removeprefix("ULTRARES_").lower(): value for key, value in self.tags.items()}
        axes = (self.grid.rows, self.grid.cols)
        place = ", ".join(f"{axis.start!r} {axis.pitch!r} {axis.size}" for axis in axes)
        more = {} if self.reference is None else identity_of(self.reference, "reference file")
        return {
            **told,
            **identity,
            **identity_of(self.source),
            **more,
            "grid on the scene": place,
            "part": " ".join(map(str, self.part)),
            "radiometry": identity_of_radiometry(self.radiometry),
        }

    def tiler(self, stored: int) -> Tiler:
        """What makes the tiles, in pieces where memory is short.

        Args:
            stored: Side of the tiles as they are kept, which may have been begun with more memory.
        """
        tiler = tiler_along(
            self.route,
            self.scene,
            self.grid,
            radiometry=self.radiometry,
            nodata=self.scene.profile.nodata,
            tile=stored,
            cache_bytes=self.budget.cells,
            part=self.part,
            exact=isinstance(self.sensor, Box),
            reference=self.guide,
            with_spread=self.options.with_spread,
            widening=self.model.widening,
        )
        return HalvingTiler(tiler, step=self.in_blocks, largest=self.tile)

    def _open_reference(self, stack: ExitStack) -> RasterReference | None:
        if self.reference is None:
            return None
        check_overlap(self.reference, self.scene)
        self.model.check_takes_reference()
        return stack.enter_context(open_reference(self.reference, self.scene, self.radiometry))


def shift_of(guide: RasterReference) -> tuple[float, float]:
    """By how many rows and columns of the scene a reference was moved."""
    rows, cols = guide.shift
    return float(rows), float(cols)


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
        "ULTRARES_REFERENCE": Path(str(reference)).name,
        "ULTRARES_REFERENCE_SHIFT": f"{rows:.4g},{cols:.4g}",
    }
