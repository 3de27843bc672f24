"""Which grid a product lies on: by a scale, by a pixel size, or by the pixels of another raster."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from affine import Affine

from ultrares.errors import OptionError, ScaleError
from ultrares.scene.opening import open_raster
from ultrares.scene.profile import SceneProfile
from ultrares.scene.target_grid import SNAP, Axis, TargetGrid
from ultrares.types import Shape


@dataclass(frozen=True)
class Wanted:
    """How fine the output shall be, said in one of three ways.

    Attributes:
        scale: Output pixels per scene pixel along one side.
        gsd: Size of an output pixel in the units of the scene's CRS.
        like: A raster whose pixels the output's shall be.
    """

    scale: float | None = None
    gsd: float | None = None
    like: str | Path | None = None

    def check(self) -> None:
        """Refuse none and more than one.

        Raises:
            OptionError: There is not exactly one.
            ScaleError: The scale does not enlarge.
        """
        given = [
            name
            for name, value in (
                ("--scale", self.scale),
                ("--gsd", self.gsd),
                ("--like", self.like),
            )
            if value is not None
        ]
        if len(given) != 1:
            found = " and ".join(given) or "none of them"
            raise OptionError(
                f"say how fine the result shall be by one of --scale, --gsd and --like; got {found}"
            )
        if self.scale is not None:
            _check_enlarges(self.scale)

    def on(self, profile: SceneProfile) -> TargetGrid:
        """The output's grid on a scene.

        Raises:
            InputError: The scene or the other raster cannot be used so.
        """
        if self.gsd is not None:
            return grid_of_pixel_size(profile, self.gsd)
        if self.like is not None:
            return grid_like(profile, self.like)
        assert self.scale is not None
        return grid_of_scale(profile.shape, self.scale)


def grid_of_scale(scene: Shape, scale: float) -> TargetGrid:
    """The scene's own footprint, in whole numbers of pixels as near to the scale as can be.

    Raises:
        ScaleError: The scale does not enlarge.
    """
    _check_enlarges(scale)
    rows, cols = (_covering(length, scale) for length in scene)
    return TargetGrid(rows, cols)


def grid_of_pixel_size(profile: SceneProfile, size: float) -> TargetGrid:
    """The scene's own footprint in pixels as near to a size on the ground as whole numbers allow.

    Args:
        profile: The scene's; its transform gives the present size.
        size: In the units of its CRS.

    Raises:
        OptionError: The scene has no transform.
        ScaleError: The pixels of the scene are no larger than that.
    """
    if profile.transform is None:
        raise OptionError(
            "--gsd: the scene has no transform that would say how large its pixels are"
        )
    if not (math.isfinite(size) and size > 0):
        raise OptionError(f"--gsd {size:g}: pass the size of a pixel, above 0, in units of the CRS")
    across = math.hypot(profile.transform.a, profile.transform.d)
    down = math.hypot(profile.transform.b, profile.transform.e)
    if min(across, down) <= size:
        raise ScaleError(
            f"--gsd {size:g} does not enlarge: the scene's pixels are {across:g} x {down:g} in units "
            "of its CRS"
        )
    height, width = profile.shape
    return TargetGrid(_covering(height, down / size), _covering(width, across / size))


def grid_like(profile: SceneProfile, other: str | Path) -> TargetGrid:
    """The pixels of another raster that cover the scene, as far as both reach.

    Each edge is that of the other raster's pixels that lies nearest to the scene's.

    Raises:
        OptionError: The rasters have different CRS or orientation, or do not overlap.
        ScaleError: The other raster's pixels are no smaller.
        RasterError: The other raster cannot be read.
    """
    with open_raster(other) as raster:
        theirs = raster.profile
    if profile.transform is None or theirs.transform is None:
        which = "the scene" if profile.transform is None else str(other)
        raise OptionError(f"--like {other}: {which} has no transform, so there is no common grid")
    if profile.crs != theirs.crs:
        raise OptionError(
            f"--like {other}: its coordinate reference system is {theirs.crs or 'missing'}, the scene's "
            f"is {profile.crs or 'missing'}; reproject one of them first"
        )
    onto = ~profile.transform @ theirs.transform
    if max(abs(onto.b) * theirs.shape.height, abs(onto.d) * theirs.shape.width) > SNAP * 1e3 or (
        min(onto.a, onto.e) <= 0
    ):
        raise OptionError(f"--like {other}: its rows and columns do not run along the scene's")
    if max(onto.a, onto.e) >= 1 - SNAP:
        raise ScaleError(
            f"--like {other} does not enlarge: its pixels measure {onto.a:.4g} x {onto.e:.4g} of the scene's"
        )
    rows = _like(profile.shape.height, onto.f, onto.e, theirs.shape.height)
    cols = _like(profile.shape.width, onto.c, onto.a, theirs.shape.width)
    if rows is None or cols is None:
        raise OptionError(f"--like {other}: it does not overlap the scene")
    (down, row_axis), (across, col_axis) = rows, cols
    # Its own numbers, so that both rasters' coordinates are equal to the last bit.
    placed = theirs.transform @ Affine.translation(across, down)
    return TargetGrid(row_axis, col_axis, placed)


def _check_enlarges(scale: float) -> None:
    if not (math.isfinite(scale) and scale > 1):
        raise ScaleError(f"scale {scale:g} does not enlarge: pass a number above 1, to 128")


def _covering(length: int, scale: float) -> Axis:
    # 2.5 of 3 pixels are 7.5: half of them up, as GDAL rounds.
    size = max(length + 1, math.floor(length * scale + 0.5))
    return Axis(0.0, length / size, size)


def _like(length: int, offset: float, pitch: float, count: int) -> tuple[int, Axis] | None:
    """The first of another grid's pixels that is used and the output pixels from there, along one axis."""
    first = max(0, round(-offset / pitch))
    last = min(count, round((length - offset) / pitch))
    if last <= first:
        return None
    return first, Axis(_snapped(offset + first * pitch), pitch, last - first)


def _snapped(edge: float) -> float:
    return float(round(edge)) if abs(edge - round(edge)) < SNAP else edge
