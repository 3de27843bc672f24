"""Make a coarser scene from a fine one, as a sensor would have seen it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from ultrares.errors import RasterError
from ultrares.scene.choice import ALL_OF_IT, Choice
from ultrares.scene.cog_sink import CogSink
from ultrares.scene.grid import coarser_transform, finer_gcps, finer_rpcs
from ultrares.scene.opening import Raster, open_raster
from ultrares.scene.profile import SceneProfile
from ultrares.scene.pyramid import Pyramid
from ultrares.scene.radiometry import Radiometry
from ultrares.scene.windows import tiles, whole
from ultrares.sensor.models import SensorModel
from ultrares.types import Shape, Window

COARSE_SIDE = 128
"""Side, in coarse pixels, of what is computed at once, at most; less where the factor is large."""


def degrade(
    source: str | Path,
    target: str | Path,
    scale: int,
    sensor: SensorModel,
    *,
    asset: str | None = None,
    choice: Choice = ALL_OF_IT,
    overwrite: bool = False,
) -> Shape:
    """Reduce a raster by a sensor model and round it to its data type.

    A coarse pixel is valid if all the fine pixels in it are. Rows and columns beyond the last whole
    coarse pixel are left out.

    Args:
        source: The fine raster.
        target: Path of the coarse one, a cloud-optimised GeoTIFF.
        scale: Fine pixels per coarse pixel, along one side.
        sensor: The sensor model.
        asset: Which asset of a STAC item or variable of a Zarr.
        choice: Which subdataset and bands.
        overwrite: Whether the target may be replaced.

    Returns:
        Height and width of the coarse raster.

    Raises:
        RasterError: The source is unreadable, or smaller than one coarse pixel.
        OutputError: The target cannot be written.
    """
    with open_raster(source, asset, choice) as fine:
        size = Shape(fine.shape.height // scale, fine.shape.width // scale)
        if 0 in size:
            raise RasterError(f"{source} is smaller than one pixel at 1/{scale} of its resolution")
        radiometry = Radiometry.of(fine)
        tags = {"ULTRARES_DEGRADED_BY": str(scale), "ULTRARES_DEGRADED_SENSOR": sensor.name}
        with CogSink(
            target, _coarser(fine.profile, scale, size), tags, overwrite=overwrite
        ) as sink:
            for window in tiles(whole(size), max(1, min(COARSE_SIDE, 4096 // scale))):
                sink.write(window, *_reduce(fine, window, scale, sensor, radiometry))
            sink.commit()
    return size


def _coarser(profile: SceneProfile, scale: int, size: Shape) -> SceneProfile:
    here = Window(0, 0, *profile.shape)
    return replace(
        profile,
        shape=size,
        transform=None
        if profile.transform is None
        else coarser_transform(profile.transform, scale),
        gcps=tuple(finer_gcps(profile.gcps, 1 / scale, here)),
        rpcs=None if profile.rpcs is None else finer_rpcs(profile.rpcs, 1 / scale, here),
    )


def _reduce(
    fine: Raster, window: Window, scale: int, sensor: SensorModel, radiometry: Radiometry
) -> tuple[np.ndarray, np.ndarray]:
    """Coarse digital numbers of a window and their validity."""
    array, usable = fine.read(window.scaled(scale))
    wide = window.padded(sensor.reach).scaled(scale)
    unit = Pyramid(fine, radiometry, []).read(0, wide)
    margin = slice(sensor.reach, None if sensor.reach == 0 else -sensor.reach)
    reduced = sensor.degrade(unit.double(), scale)[0].numpy()[:, margin, margin]
    blocks = usable.reshape(fine.bands, window.height, scale, window.width, scale)
    valid = np.asarray(blocks.all(axis=(2, 4)))
    coarse = _fallback(array, usable, window, scale)
    levels = radiometry.to_type(radiometry.denormalise(reduced), array.dtype, fine.profile.nodata)
    lit = radiometry.lit
    coarse[lit] = np.where(valid[lit], levels, coarse[lit])
    return coarse, valid


def _fallback(array: np.ndarray, usable: np.ndarray, window: Window, scale: int) -> np.ndarray:
    """For each coarse pixel the first fine pixel without data, which stays so; alpha: the least opaque."""
    bands = array.shape[0]
    shape = (bands, window.height, scale, window.width, scale)
    flat = array.reshape(shape).swapaxes(2, 3).reshape(bands, window.height, window.width, -1)
    good = usable.reshape(shape).swapaxes(2, 3).reshape(bands, window.height, window.width, -1)
    first = np.argmin(good, axis=-1)[..., None]
    chosen = np.take_along_axis(flat, first, axis=-1)[..., 0]
    opaque = good.all(axis=-1)
    return np.where(opaque, flat.min(axis=-1), chosen)
