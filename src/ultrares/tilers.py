"""What makes a product's tiles: where routes of methods meet grids of scenes."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from ultrares.methods.area_average import AreaAverage
from ultrares.methods.route import Route
from ultrares.scene.grid_stage import GridStage
from ultrares.scene.pyramid import DEFAULT_CACHE, Pyramid
from ultrares.scene.radiometry import Radiometry
from ultrares.scene.target_grid import TargetGrid
from ultrares.scene.upscale import BlockTiler
from ultrares.scene.upscale_grid import AreaTiler
from ultrares.types import Reference, Source, Window


def tiler_along(  # noqa: PLR0913 - each is a decision that belongs to the caller
    route: Route,
    source: Source,
    grid: TargetGrid,
    *,
    radiometry: Radiometry,
    exact: bool,
    reference: Reference | None = None,
    with_spread: bool = False,
    with_evidence: bool = False,
    widening: float | None = None,
    nodata: float | None = None,
    tile: int = 512,
    cache_bytes: int = DEFAULT_CACHE,
    part: Window | None = None,
    integrals: Sequence[Tensor] | None = None,
) -> BlockTiler | AreaTiler:
    """What makes the tiles of a product along a route: in whole blocks where the grid has them, else by areas.

    Args:
        route: From :meth:`ultrares.model.Model.route`.
        source: The scene.
        grid: Where the output pixels lie on the scene, all of them.
        radiometry: The scene's range.
        exact: Whether means over scene pixels shall be kept.
        reference: A finer image of the place.
        with_spread: Whether tiles have the standard deviation of the draws.
        with_evidence: Whether tiles have the layer of :mod:`ultrares.scene.evidence`.
        widening: See :class:`ultrares.scene.upscale.BlockTiler`.
        nodata: A value that no valid pixel may get.
        tile: Output pixels a side that are made at once, where blocks are whole.
        cache_bytes: What computed cells may keep.
        part: Output pixels of the product; None for all.
        integrals: Those of the route's last step, if they were gathered elsewhere.
    """
    factor = grid.factor
    if factor is not None and grid.covers(source.shape):
        return BlockTiler(
            source,
            route.levels,
            factor,
            radiometry=radiometry,
            nodata=nodata,
            tile=tile,
            aoi=None if part is None else part.reduced(factor),
            exact=exact,
            cache_bytes=cache_bytes,
            reference=reference,
            with_spread=with_spread,
            with_evidence=with_evidence,
            widening=widening,
            last=route.last,
            integrals=integrals,
        )
    pyramid = Pyramid(
        source, radiometry, route.levels, cache_bytes=cache_bytes, reference=reference
    )
    return AreaTiler(
        source,
        GridStage(pyramid, route.last or AreaAverage(), grid, integrals=integrals),
        grid,
        radiometry=radiometry,
        nodata=nodata,
        part=part,
        exact=exact,
        with_spread=with_spread,
        with_evidence=with_evidence,
        widening=widening,
    )
