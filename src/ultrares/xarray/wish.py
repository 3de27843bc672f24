"""What is asked of an array, and how pixels that are at hand are upscaled so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from torch import Tensor

from ultrares.loading import load
from ultrares.methods.route import check_scale
from ultrares.model import Model
from ultrares.scene.array_sink import ArraySink
from ultrares.scene.grid_choice import grid_of_scale
from ultrares.scene.radiometry import Radiometry
from ultrares.scene.source import ArraySource
from ultrares.scene.target_grid import TargetGrid
from ultrares.scene.tile import write_tiles
from ultrares.scene.upscale import BlockTiler
from ultrares.scene.upscale_grid import AreaTiler
from ultrares.sensor.models import Box, parse_sensor
from ultrares.tilers import tiler_along
from ultrares.types import Mode, Shape, Source, Window


@dataclass(frozen=True)
class Wish:
    """How an array shall be upscaled.

    Attributes:
        scale: Output pixels per pixel along one side.
        model: A loaded model, or what :func:`ultrares.load` takes by name.
        mode: ``fidelity`` or ``perceptual``.
        draws: Samples to average in perceptual mode.
        steps: Denoiser calls per level of a sample.
        seed: Seed of the samples.
        sensor: ``box``, ``bicubic`` or ``mtf:VALUE``.
        nodata: The value that means no data, besides not-a-number.
    """

    scale: float
    model: str | Path | Model | None = None
    mode: Mode = "fidelity"
    draws: int = 1
    steps: int | None = None
    seed: int = 0
    sensor: str = "box"
    nodata: float | None = None

    def grid(self, shape: Shape) -> TargetGrid:
        """Where the output's pixels lie on an array of a size.

        Raises:
            ScaleError: The scale does not enlarge, or is beyond the largest.
        """
        check_scale(self.scale)
        return grid_of_scale(shape, self.scale)

    def tiler(
        self,
        source: Source,
        radiometry: Radiometry,
        *,
        part: Window | None = None,
        integrals: Sequence[Tensor] | None = None,
    ) -> BlockTiler | AreaTiler:
        """What makes the tiles of a part of the output.

        Raises:
            InputError: An option has a value that makes no sense.
            ModelError: The model is missing, or draws nothing where samples are asked for.
        """
        model = self.model if isinstance(self.model, Model) else _loaded(self.model)
        sensor = parse_sensor(self.sensor)
        route = model.route(
            self.scale,
            mode=self.mode,
            draws=self.draws,
            steps=self.steps,
            seed=self.seed,
            sensor=sensor,
        )
        return tiler_along(
            route,
            source,
            self.grid(source.shape),
            radiometry=radiometry,
            exact=isinstance(sensor, Box),
            nodata=self.nodata,
            part=part,
            integrals=integrals,
        )

    def valid(self, array: np.ndarray) -> np.ndarray:
        """Which pixels hold data."""
        valid: np.ndarray = np.isfinite(array)
        return valid if self.nodata is None else valid & (array != self.nodata)

    def source(self, array: np.ndarray) -> ArraySource:
        """An array (C, H, W) that is at hand as a source.

        Raises:
            InputError: It has another type than integers or floats, or no valid pixel.
        """
        return ArraySource(array, self.valid(array))

    def upscaled(self, array: np.ndarray) -> np.ndarray:
        """An array (C, H, W) that is at hand, upscaled.

        Raises:
            InputError: It cannot be.
        """
        source = self.source(array)
        tiler = self.tiler(source, Radiometry.of(source))
        grid = self.grid(source.shape)
        return made(tiler, source, Shape(grid.rows.size, grid.cols.size))


def made(tiler: BlockTiler | AreaTiler, source: Source, shape: Shape) -> np.ndarray:
    """All tiles of a tiler in one array (C, H, W)."""
    sink = ArraySink(source.bands, shape, source.dtype)
    write_tiles(tiler, sink)
    return sink.array


@lru_cache(maxsize=2)
def _loaded(name: str | Path | None) -> Model:
    return load(name)
