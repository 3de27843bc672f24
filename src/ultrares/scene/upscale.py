"""Tiles of a whole scale: read, upscale, project exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.transform import array_bounds
from torch import Tensor

from ultrares.errors import OptionError
from ultrares.scene.draws import (
    calibrated_spread,
    draws_of_levels,
    draws_of_stage,
    mean_of,
    spread_of,
)
from ultrares.scene.evidence import (
    EVIDENCE,
    REACH,
    Seen,
    block_residual,
    invented_share,
    lack_of,
    layer_of,
    radius_of,
    smooth_along,
)
from ultrares.scene.grid_stage import GridStage
from ultrares.scene.profile import SceneProfile
from ultrares.scene.pyramid import DEFAULT_CACHE, Pyramid
from ultrares.scene.radiometry import Radiometry
from ultrares.scene.target_grid import TargetGrid
from ultrares.scene.tile import Layer, Progress, Tile, write_tiles
from ultrares.scene.windows import tiles, union, whole
from ultrares.sensor.exact import project_blocks
from ultrares.types import GridUpscaler, Reference, Shape, Sink, Source, Upscaler, Window


class BlockTiler:
    """Makes tiles of a product in which every scene pixel is a block of whole output pixels.

    Args:
        source: The scene.
        levels: The cascade; draws, which it makes side by side, are averaged.
        scale: Output pixels per pixel; without ``last`` the levels' scales multiply to this or more.
        radiometry: The scene's range.
        nodata: A value that no valid pixel may get.
        tile: Side of the square of output pixels computed at once, rounded up to whole scene pixels.
        aoi: The part of the scene to upscale, which is where the product begins; None for all.
        exact: Whether block means shall equal the scene (the box sensor).
        cache_bytes: What computed cells may keep in memory, over all draws.
        reference: A finer image of the place.
        with_spread: Whether tiles have the standard deviation of the draws.
        with_evidence: Whether tiles have the layer of :mod:`ultrares.scene.evidence`.
        widening: If given, the standard deviation is pooled over neighbours and widened by this factor, so
            that it says how far the truth is to be expected from the mean.
        last: What goes on from the levels to the scale; without it, what is finer is averaged.
        integrals: Those of ``last``, if they were gathered elsewhere.

    Attributes:
        forget: Drops what is kept of computed cells, and keeps half as much from then on.
    """

    def __init__(  # noqa: PLR0913 - each is a decision that belongs to the caller
        self,
        source: Source,
        levels: Sequence[Upscaler],
        scale: int,
        *,
        radiometry: Radiometry,
        nodata: float | None = None,
        tile: int = 512,
        aoi: Window | None = None,
        exact: bool = True,
        cache_bytes: int = DEFAULT_CACHE,
        reference: Reference | None = None,
        with_spread: bool = False,
        with_evidence: bool = False,
        widening: float | None = None,
        last: GridUpscaler | None = None,
        integrals: Sequence[Tensor] | None = None,
    ) -> None:
        self._source = source
        self._scale = scale
        self._radiometry = radiometry
        self._nodata = nodata
        self._exact = exact
        self._with_spread = with_spread
        self._with_evidence = with_evidence
        self._widening = widening
        self._area = whole(source.shape) if aoi is None else aoi
        pyramid = Pyramid(source, radiometry, levels, cache_bytes=cache_bytes, reference=reference)
        self._pyramid, self._stage = pyramid, None
        if last is None:
            self._draws_at, self.forget = draws_of_levels(pyramid, scale), pyramid.forget
        else:
            grid = TargetGrid.of_factor(source.shape, scale)
            self._stage = GridStage(pyramid, last, grid, integrals=integrals)
            self._draws_at, self.forget = draws_of_stage(self._stage, scale), self._stage.forget
        parts = tiles(Window(0, 0, self._area.height, self._area.width), -(-tile // scale))
        self._places = [part.scaled(scale) for part in parts]

    @property
    def places(self) -> Sequence[Window]:
        """The windows of the product."""
        return self._places

    @property
    def stage(self) -> GridStage | None:
        """What goes on from the levels to the scale."""
        return self._stage

    def needs(self, place: Window) -> Window:
        """The scene pixels that the pixels of any place of the product depend on, spread and integrals apart."""
        window = self._window(place)
        if self._stage is not None:
            fine = self._stage.needs(window.scaled(self._scale))
        else:
            top = self._pyramid.top
            fine = self._pyramid.needs(top, window.scaled(self._pyramid.factor(top)))
        return union(window, fine)

    def _window(self, place: Window) -> Window:
        part = place.reduced(self._scale)
        return part._replace(row=self._area.row + part.row, col=self._area.col + part.col)

    def make(self, place: Window) -> Tile:
        """Read, upscale, and project a tile."""
        scale, radiometry = self._scale, self._radiometry
        window = self._window(place)
        # Evidence looks at half a scene pixel of the product around each of its pixels.
        margin = 1 if self._with_evidence else 0
        wide = window.padded(margin).clipped(self._source.shape)
        coarse, valid = self._source.read(wide)
        if not valid[radiometry.lit].any() and not self._with_evidence:
            return self._without_data(place, coarse, valid)
        draws = self._draws_at(wide)
        mean = mean_of(draws)
        fine = radiometry.denormalise(mean)
        pixels = _finish(fine, coarse, valid, scale, radiometry, self._nodata, exact=self._exact)
        inner = _inside(window.scaled(scale), wide.scaled(scale))
        lasting = repeat(valid, scale)
        tile = Tile(place, pixels[inner], lasting[inner])
        if self._with_spread:
            lit = lasting[inner][radiometry.lit]
            spread = self._spread(window, draws[(slice(None), *inner)], mean[inner], lit)
            tile = replace(tile, spread=spread, lit=lit)
        if self._with_evidence:
            layer = self._evidence(window, wide, pixels, coarse, valid)
            tile = replace(tile, layers={EVIDENCE: layer})
        return tile

    def _without_data(self, place: Window, coarse: np.ndarray, valid: np.ndarray) -> Tile:
        """A tile of what the scene holds where it has no data, which no network has to look at."""
        lasting = repeat(valid, self._scale)
        tile = Tile(place, repeat(coarse, self._scale), lasting)
        if not self._with_spread:
            return tile
        lit = lasting[self._radiometry.lit]
        return replace(tile, spread=np.full(lit.shape, np.nan, dtype=np.float32), lit=lit)

    def _spread(
        self,
        window: Window,
        draws: NDArray[np.float32],
        mean: NDArray[np.float64],
        lit: NDArray[np.bool_],
    ) -> NDArray[np.float32]:
        """The standard deviation of a tile's draws, in digital numbers."""
        scale, exact = self._scale, self._exact
        if self._widening is None:
            unit = spread_of(draws, mean, scale, exact=exact)
        else:
            unit = calibrated_spread(
                self._draws_at, window, self._source.shape, scale, self._widening, exact=exact
            )
        return _digital_spread(unit, lit, self._radiometry)

    def _evidence(
        self,
        window: Window,
        wide: Window,
        pixels: np.ndarray,
        coarse: np.ndarray,
        valid: np.ndarray,
    ) -> Layer:
        """What a tile adds to its scene, given the pixels of the scene window ``wide`` around it."""
        scale, lit = self._scale, self._radiometry.lit
        radius = radius_of(1 / scale)
        grown, reached = window.scaled(scale).padded(radius), wide.scaled(scale)
        seen = grown.clipped(Shape(*(scale * side for side in self._source.shape)))
        near = wide.padded(REACH)
        smooth = self._pyramid.read(0, near)[0].numpy()
        for axis, (first, count, origin) in enumerate(
            ((seen.row, seen.height, near.row), (seen.col, seen.width, near.col)), start=1
        ):
            edges = np.arange(first, first + count + 1) / scale
            smooth = smooth_along(smooth, origin, edges, axis)
        inner = _inside(seen, reached)
        lasting = repeat(valid[lit], scale)[inner]
        around = Seen(pixels[lit][inner], smooth, lasting, lack_of(grown, seen), radius)
        own = _inside(window, wide)
        blocks = pixels[lit][_inside(window.scaled(scale), reached)]
        residual = block_residual(blocks, coarse[lit][own], scale)
        return layer_of(
            invented_share(around, self._radiometry),
            repeat(residual, scale),
            repeat(valid[lit][own], scale),
        )


def upscale(
    source: Source,
    sink: Sink,
    levels: Sequence[Upscaler],
    scale: int,
    *,
    spread: Sink | None = None,
    on_progress: Progress | None = None,
    **options: Any,
) -> None:
    """Upscale a scene into a sink, which the caller commits; the options are those of :class:`BlockTiler`."""
    tiler = BlockTiler(source, levels, scale, with_spread=spread is not None, **options)
    write_tiles(tiler, sink, spread=spread, on_progress=on_progress)


def aoi_window(profile: SceneProfile, bounds: tuple[float, float, float, float] | None) -> Window:
    """The pixels that bounds touch, or the whole scene.

    Args:
        profile: The scene's.
        bounds: Left, bottom, right and top in the scene's CRS.

    Raises:
        OptionError: The scene has no transform, or the bounds lie outside it.
    """
    if bounds is None:
        return whole(profile.shape)
    if profile.transform is None:
        raise OptionError("aoi: the scene has no transform that could place coordinates on it")
    if np.isfinite(bounds).tolist() != [True] * 4:
        raise OptionError(f"aoi {bounds}: give four numbers, left, bottom, right and top")
    left, bottom, right, top = bounds
    back = ~profile.transform
    corners = [back @ (x, y) for x in (left, right) for y in (bottom, top)]
    cols, rows = zip(*corners, strict=True)
    # A thousandth of a pixel is rounding, not intent.
    row, col = (max(0, int(np.floor(min(axis) + 1e-3))) for axis in (rows, cols))
    lower = min(profile.shape.height, int(np.ceil(max(rows) - 1e-3)))
    right_edge = min(profile.shape.width, int(np.ceil(max(cols) - 1e-3)))
    if lower <= row or right_edge <= col:
        raise OptionError(
            f"aoi {left:.10g} {bottom:.10g} {right:.10g} {top:.10g} touches no pixel of the scene, which covers "
            f"{_covered(profile)}; give left, bottom, right and top in its coordinate system"
        )
    return Window(row, col, lower - row, right_edge - col)


def _covered(profile: SceneProfile) -> str:
    """The scene's bounds as an area of interest is given, and what they are measured in."""
    assert profile.transform is not None
    found = array_bounds(profile.shape.height, profile.shape.width, profile.transform)
    (left, right), (bottom, top) = sorted(found[::2]), sorted(found[1::2])
    system = "no known system" if profile.crs is None else profile.crs.to_string()
    return f"{left:.10g} {bottom:.10g} {right:.10g} {top:.10g} in {system}"


def repeat(array: np.ndarray, scale: int) -> np.ndarray:
    """Each pixel of (C, h, w) as a block of ``scale`` by ``scale``."""
    return array.repeat(scale, axis=1).repeat(scale, axis=2)


def _inside(inner: Window, outer: Window) -> tuple[slice, slice, slice]:
    """Where a window's pixels are in an array (C, h, w) of a window around it."""
    top, left = inner.row - outer.row, inner.col - outer.col
    return slice(None), slice(top, top + inner.height), slice(left, left + inner.width)


def _finish(
    fine: NDArray[np.float64],
    coarse: np.ndarray,
    valid: np.ndarray,
    scale: int,
    radiometry: Radiometry,
    nodata: float | None,
    *,
    exact: bool,
) -> np.ndarray:
    """Digital numbers of a tile: exact or rounded where valid, the input's own elsewhere."""
    low, high = radiometry.bounds
    pixels = repeat(coarse, scale)
    lit = radiometry.lit
    if exact:
        restored = project_blocks(fine, coarse[lit], scale, low=low, high=high, forbidden=nodata)
    else:
        restored = radiometry.to_type(fine, coarse.dtype, nodata)
    pixels[lit] = np.where(repeat(valid[lit], scale), restored, pixels[lit])
    return pixels


def _digital_spread(
    unit: NDArray[np.float64], valid: np.ndarray, radiometry: Radiometry
) -> NDArray[np.float32]:
    """A standard deviation in [0, 1] as digital numbers, not-a-number where there is no data."""
    digital = (unit * (radiometry.high - radiometry.low)).clip(max=np.finfo(np.float32).max)
    return np.where(valid, digital, np.nan).astype(np.float32)
