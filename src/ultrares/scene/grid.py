"""Where the finer pixels lie: transforms, ground control points and rational polynomials, scaled."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np
from affine import Affine
from rasterio.control import GroundControlPoint
from rasterio.rpc import RPC

from ultrares.scene.target_grid import Axis
from ultrares.types import Shape, Window


def finer_transform(transform: Affine, scale: int, window: Window) -> Affine:
    """The transform of a window's pixels, ``scale`` times finer; rotation and shear are kept.

    Args:
        transform: From pixel corners (column, row) of the scene to coordinates.
        scale: Finer pixels per pixel, along one side.
        window: The part of the scene that is made finer.
    """
    corner = transform @ Affine.translation(window.col, window.row)
    return corner @ Affine.scale(1 / scale)


def coarser_transform(transform: Affine, scale: int) -> Affine:
    """The transform of pixels that are ``scale`` times coarser, from the same corner."""
    return transform @ Affine.scale(scale)


def finer_gcps(
    gcps: Sequence[GroundControlPoint], scale: float, window: Window
) -> list[GroundControlPoint]:
    """Ground control points of a window's pixels, ``scale`` times finer."""
    return moved_gcps(gcps, *_axes(scale, window))


def finer_rpcs(rpcs: RPC, scale: float, window: Window) -> RPC:
    """Rational polynomials of a window's pixels, ``scale`` times finer."""
    return moved_rpcs(rpcs, *_axes(scale, window))


def _axes(scale: float, window: Window) -> tuple[Axis, Axis]:
    # The number of pixels moves no point.
    return Axis(float(window.row), 1 / scale, 0), Axis(float(window.col), 1 / scale, 0)


def moved_gcps(
    gcps: Sequence[GroundControlPoint], rows: Axis, cols: Axis
) -> list[GroundControlPoint]:
    """Ground control points on a grid of any scale; their rows and columns count pixel corners."""
    return [
        GroundControlPoint(
            row=(point.row - rows.start) / rows.pitch,
            col=(point.col - cols.start) / cols.pitch,
            x=point.x,
            y=point.y,
            z=point.z,
            id=point.id,
            info=point.info,
        )
        for point in gcps
    ]


def moved_rpcs(rpcs: RPC, rows: Axis, cols: Axis) -> RPC:
    """Rational polynomials on a grid of any scale; their lines and samples count pixel centres."""
    fields = rpcs.to_dict()
    fields["line_off"] = (rpcs.line_off + 0.5 - rows.start) / rows.pitch - 0.5
    fields["samp_off"] = (rpcs.samp_off + 0.5 - cols.start) / cols.pitch - 0.5
    fields["line_scale"] = rpcs.line_scale / rows.pitch
    fields["samp_scale"] = rpcs.samp_scale / cols.pitch
    return RPC(**fields)


def rounding(transform: Affine, shape: Shape) -> float:
    """By how much of a pixel the coordinates of a raster's corners are rounded in double precision."""
    height, width = shape
    corners = [transform @ place for place in ((0, 0), (width, 0), (0, height), (width, height))]
    # A pixel is as wide as it is at its narrowest, also where it is sheared.
    linear = [[transform.a, transform.b], [transform.d, transform.e]]
    along = max(float(np.linalg.norm(linear, -2)), sys.float_info.min)
    largest = max(abs(value) for corner in corners for value in corner)
    return sys.float_info.epsilon * largest / along


def footprint_distance(
    coarse: Affine, coarse_size: tuple[int, int], fine: Affine, fine_size: tuple[int, int]
) -> float:
    """Largest distance between two grids' corners, in coarse pixels.

    Args:
        coarse: Transform of the coarse grid.
        coarse_size: Its height and width.
        fine: Transform of the fine grid.
        fine_size: Its height and width.
    """
    back = ~coarse
    distance = 0.0
    for down, across in ((0, 0), (0, 1), (1, 0), (1, 1)):
        col, row = back @ (fine @ (across * fine_size[1], down * fine_size[0]))
        distance = max(
            distance, abs(col - across * coarse_size[1]), abs(row - down * coarse_size[0])
        )
    return distance
