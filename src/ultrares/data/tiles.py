"""Any folder of rasters as one array of equally large tiles."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ultrares.errors import RasterError
from ultrares.scene.radiometry import Radiometry
from ultrares.scene.source import ArraySource, RasterSource
from ultrares.scene.windows import whole
from ultrares.types import Window

DEFAULT_SIDE = 256
FEWEST_BANDS = 3
"""The networks look at three bands at once."""


@dataclass(frozen=True)
class _Found:
    """What one raster gave: its tiles, and how many were left out because pixels are missing."""

    tiles: list[NDArray[np.uint8]]
    corners: list[tuple[int, int]]
    incomplete: int


@dataclass(frozen=True, eq=False)
class Tiles:
    """Tiles, and where each was cut from.

    Attributes:
        pixels: Shape (N, C, side, side).
        names: The file of each.
        corners: Row and column of its first pixel there.
    """

    pixels: NDArray[np.uint8]
    names: tuple[str, ...]
    corners: tuple[tuple[int, int], ...]


def load_tiles(
    folder: Path,
    pattern: str = "*.tif",
    *,
    side: int = DEFAULT_SIDE,
    alpha_is_light: bool = False,
) -> NDArray[np.uint8]:
    """The pixels of :func:`cut_tiles`, (N, C, side, side)."""
    return cut_tiles(folder, pattern, side=side, alpha_is_light=alpha_is_light).pixels


def cut_tiles(
    folder: Path,
    pattern: str = "*.tif",
    *,
    side: int = DEFAULT_SIDE,
    alpha_is_light: bool = False,
) -> Tiles:
    """Cut every raster of a folder into tiles, in the order of their names.

    Rasters may differ in size, data type and number of bands. Each is brought to unsigned 8-bit by its own
    radiometric range, as upscaling would see it (unsigned 8-bit stays as it is), clipped to that range, and
    cut on a grid from its upper left corner. What is left over at the right and lower edge, and every tile
    with a missing pixel, is left out. Where rasters differ in bands, those of a raster with fewer are
    repeated, so that a tile shows nothing but its own bands.

    Args:
        folder: Where the rasters are.
        pattern: Glob pattern of their names; ``**/*.tif`` looks into subfolders.
        side: Height and width of a tile, in pixels.
        alpha_is_light: Whether bands marked as alpha carry light: files of red, green, blue and near
            infrared are often marked so by mistake. If not, they say which pixels are missing.

    Returns:
        Tiles whose number of bands is the largest of all, 3 at least.

    Raises:
        RasterError: No raster matches, one cannot be read, or none gives a whole tile.
    """
    if not folder.is_dir():
        raise RasterError(f"{folder} is no folder; pass the folder of your rasters with --data")
    paths = sorted(path for path in folder.glob(pattern) if path.is_file())
    if not paths:
        raise RasterError(
            f"no raster matches {pattern!r} in {folder}: pass their folder with --data, or set "
            "data.pattern in the recipe"
        )
    found = [_cut(path, side, alpha_is_light=alpha_is_light) for path in paths]
    tiles = [tile for one in found for tile in one.tiles]
    names = [path.name for path, one in zip(paths, found, strict=True) for _ in one.tiles]
    corners = [corner for one in found for corner in one.corners]
    if not tiles:
        raise RasterError(_why_none(folder, found, side))
    idle = sum(not one.tiles for one in found)
    if idle:
        warnings.warn(
            f"{idle} of {len(found)} rasters in {folder} have no {side} x {side} pixels without "
            "a missing one and are not trained on",
            stacklevel=2,
        )
    bands = max(FEWEST_BANDS, *(len(tile) for tile in tiles))
    stacked = np.empty((len(tiles), bands, side, side), np.uint8)
    del found
    for place in reversed(stacked):
        # Let go at once: both together may be more than there is memory.
        tile = tiles.pop()
        place[:] = tile[np.arange(bands) % len(tile)]
    return Tiles(stacked, tuple(names), tuple(corners))


def _cut(path: Path, side: int, *, alpha_is_light: bool) -> _Found:
    """The complete tiles of one raster, (L, side, side) each."""
    tiles, corners, incomplete = [], [], 0
    with RasterSource(path) as raster:
        source = _all_lit(raster) if alpha_is_light and any(raster.profile.alpha) else raster
        height, width = source.shape
        windows = [
            Window(row, col, side, side)
            for row in range(0, height - side + 1, side)
            for col in range(0, width - side + 1, side)
        ]
        if not windows:
            return _Found([], [], 0)
        radiometry = Radiometry.of(source)
        if not radiometry.lit.any():
            raise RasterError(f"{path} has alpha bands only; there is nothing to train on")
        for window in windows:
            array, valid = source.read(window)
            if valid[radiometry.lit].all():
                unit = radiometry.normalise(array, valid)[0].numpy()
                corners.append((window.row, window.col))
                tiles.append(np.rint(255 * np.clip(unit, 0, 1)).astype(np.uint8))
            else:
                incomplete += 1
    return _Found(tiles, corners, incomplete)


def _all_lit(raster: RasterSource) -> ArraySource:
    """The raster in memory, its alpha bands like all the others."""
    array, _ = raster.read(whole(raster.shape))
    nodata = raster.profile.nodata
    return ArraySource(array, None if nodata is None else array != nodata)


def _why_none(folder: Path, found: list[_Found], side: int) -> str:
    """The sentence for a folder without a single tile."""
    incomplete = sum(one.incomplete for one in found)
    if incomplete:
        return (
            f"every {side} x {side} tile of the rasters in {folder} has missing pixels (nodata, "
            "masked or not finite): pass more complete imagery, or set a smaller data.tile in the recipe, or "
            "data.alpha_is_light = true if a band marked as alpha is an image"
        )
    return (
        f"the rasters in {folder} are smaller than a tile of {side} x {side} pixels: pass larger "
        "ones, or set a smaller data.tile in the recipe"
    )
