"""A description of a product that is small enough to be sent, and from which any process makes its tiles."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path

import torch

from ultrares.catalogue import arithmetic
from ultrares.errors import ClusterError, RasterError
from ultrares.loading import load
from ultrares.methods.route import Route
from ultrares.methods.shelves import EMBEDDED
from ultrares.model import Model
from ultrares.scene.choice import ALL_OF_IT, Choice
from ultrares.scene.halving import HalvingTiler
from ultrares.scene.opening import Raster, open_raster
from ultrares.scene.pyramid import DEFAULT_CACHE
from ultrares.scene.radiometry import Radiometry
from ultrares.scene.reference import RasterReference
from ultrares.scene.reference_opening import open_reference
from ultrares.scene.target_grid import TargetGrid
from ultrares.scene.tile import Tiler
from ultrares.sensor.models import Box, parse_sensor
from ultrares.tilers import tiler_along
from ultrares.types import Mode, Precision, Reference, Window


@dataclass(frozen=True)
class Origins:
    """What must be the same wherever tiles of one product are made.

    Attributes:
        version: Of ultrares.
        model: The sha256 of the model's weights; None where it has none.
        scene: A digest of the scene's size, type and radiometry.
        reference: How a reference was matched to it; None without one.
    """

    version: str
    model: str | None
    scene: str
    reference: str | None = None

    @classmethod
    def of(
        cls,
        model: Model,
        scene: Raster,
        radiometry: Radiometry,
        reference: RasterReference | None = None,
    ) -> Origins:
        """Those of this process."""
        facts = (
            *scene.shape,
            scene.bands,
            str(scene.dtype),
            scene.profile.nodata,
            radiometry.low.tolist(),
            radiometry.high.tolist(),
            radiometry.fill.tolist(),
            radiometry.bounds,
        )
        digest = hashlib.sha256(repr(facts).encode()).hexdigest()
        matched = None
        if reference is not None:
            matched = hashlib.sha256(reference.fingerprint.encode()).hexdigest()
        return cls(_version(), model.manifest.sha256, digest, matched)


@dataclass(frozen=True)
class Job:
    """Everything that the pixels of a product depend on: paths, names and numbers.

    It is hashable and can be pickled. Nothing in it says how many processes do the work.

    Attributes:
        source: The scene, as GDAL opens it.
        grid: Where the output pixels lie on the scene, all of them.
        part: Output pixels of the product.
        model: What :func:`ultrares.load` takes by name; None for the default.
        reference: A finer raster of the same place.
        mode: ``fidelity`` or ``perceptual``.
        draws: Samples to average in perceptual mode.
        steps: Denoiser calls per level of a sample.
        seed: Seed of the samples.
        sensor: ``box``, ``bicubic`` or ``mtf:VALUE``.
        tile: Output pixels a side of a tile; affects memory and time only.
        piece: Output pixels a side of the pieces that a tile is made in to begin with; None for all of it.
        cache_bytes: What computed cells may keep; affects time only.
        with_spread: Whether tiles have the standard deviation of the draws.
        with_evidence: Whether tiles have the layer of what the scene does not explain.
        variable: Which array of a Zarr is the scene.
        choice: Which subdataset and bands of it are.
        origins: What other processes have to find; None where none are asked.
        precision: How other processes convolve, as :func:`ultrares.load` takes it.
        device: Where they do.
    """

    source: str
    grid: TargetGrid
    part: Window
    model: str | None = None
    reference: str | None = None
    mode: Mode = "fidelity"
    draws: int = 1
    steps: int | None = None
    seed: int = 0
    sensor: str = "box"
    tile: int = 512
    piece: int | None = None
    cache_bytes: int = DEFAULT_CACHE
    with_spread: bool = False
    with_evidence: bool = False
    variable: str | None = None
    choice: Choice = ALL_OF_IT
    origins: Origins | None = None
    precision: Precision = "auto"
    device: str | None = None

    def route(self, model: Model) -> Route:
        """How a loaded model reaches the grid.

        Raises:
            InputError: An option has a value that makes no sense, or the scale cannot be reached.
            ModelError: Samples are asked of a model that draws none.
        """
        return model.route(
            self.grid.scale,
            mode=self.mode,
            draws=self.draws,
            steps=self.steps,
            seed=self.seed,
            sensor=parse_sensor(self.sensor),
            with_reference=self.reference is not None,
        )

    def tiler(
        self,
        model: Model,
        route: Route,
        scene: Raster,
        radiometry: Radiometry,
        reference: Reference | None,
    ) -> Tiler:
        """What makes the tiles, from parts that are open already, in pieces where memory is short."""
        tiler = tiler_along(
            route,
            scene,
            self.grid,
            radiometry=radiometry,
            nodata=scene.profile.nodata,
            tile=self.tile,
            cache_bytes=self.cache_bytes,
            part=self.part,
            exact=isinstance(parse_sensor(self.sensor), Box),
            reference=reference,
            with_spread=self.with_spread,
            with_evidence=self.with_evidence,
            widening=model.widening(self.grid.scale),
        )
        in_blocks = self.grid.factor if self.grid.covers(scene.shape) else None
        return HalvingTiler(tiler, step=in_blocks, largest=self.piece or self.tile)

    @contextmanager
    def open(self) -> Iterator[Tiler]:
        """What makes the tiles, from the description alone; its files are closed in the end.

        Raises:
            UltraresError: A file or the model is missing here, or is another one than where the job was made.
        """
        with ExitStack() as stack:
            try:
                scene = open_raster(self.source, self.variable, self.choice)
                stack.enter_context(scene)
            except RasterError as error:
                raise ClusterError(
                    f"it cannot read {self.source}: the scene must be readable under the same path "
                    f"everywhere ({error})"
                ) from error
            model = load(self.model, precision=self.precision, device=self.device)
            route, radiometry = self.route(model), Radiometry.of(scene)
            # First without the reference: of another scene nothing can be said about it.
            self._check(replace(Origins.of(model, scene, radiometry), reference=self._matched))
            guide = None
            if self.reference is not None:
                guide = stack.enter_context(open_reference(self.reference, scene, radiometry))
                self._check(Origins.of(model, scene, radiometry, guide))
            yield self.tiler(model, route, scene, radiometry, guide)

    def kind(self) -> str:
        """How this process computes, in words; tiles of different kinds differ in their last bits."""
        return f"{arithmetic()}, torch {torch.__version__}"

    def sent(self, origins: Origins) -> Job:
        """The same job for other processes, which may have another working directory."""
        return replace(
            self,
            source=_absolute(self.source),
            model=None if self.model is None else _absolute_model(self.model),
            reference=None if self.reference is None else _absolute(self.reference),
            origins=origins,
        )

    @property
    def _matched(self) -> str | None:
        return None if self.origins is None else self.origins.reference

    def _check(self, here: Origins) -> None:
        """Refuse to make tiles that would not fit those made elsewhere."""
        wanted = self.origins
        if wanted is None or here == wanted:
            return
        if here.version != wanted.version:
            difference = f"it has ultrares {here.version}, not {wanted.version}: install the same"
        elif here.model != wanted.model:
            difference = (
                f"its model {self.model or 'of the default name'!r} has the sha256 {here.model}, not "
                f"{wanted.model}: give all machines the same file"
            )
        elif here.scene != wanted.scene:
            difference = f"it finds another scene at {self.source}: give all machines the same file"
        else:
            difference = (
                f"it finds another reference at {self.reference}: give all machines the same file"
            )
        raise ClusterError(difference)


def _version() -> str:
    # By name, because the package's front refers to layers above this one.
    return str(import_module("ultrares").__version__)


def _absolute(path: str) -> str:
    """A path from the root, if it is one; GDAL's other names are the same everywhere."""
    return str(Path(path).absolute()) if Path(path).exists() else path


def _absolute_model(name: str) -> str:
    return name if (EMBEDDED / name).exists() else _absolute(name)
