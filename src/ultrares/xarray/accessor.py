"""``da.ultrares.upscale``: an xarray.DataArray made finer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ultrares.errors import InputError
from ultrares.model import Model
from ultrares.types import Mode, Shape
from ultrares.xarray.places import finer_coordinates
from ultrares.xarray.wish import Wish

SPATIAL = (("y", "x"), ("lat", "lon"), ("latitude", "longitude"), ("northing", "easting"))
"""Names of rows and columns that are recognised."""


@xr.register_dataarray_accessor("ultrares")
class UltraresAccessor:
    """What ultrares does with an array; reached as ``da.ultrares``."""

    def __init__(self, array: xr.DataArray) -> None:
        self._array = array

    def upscale(  # noqa: PLR0913 - its keywords are the options of Model.upscale
        self,
        scale: float,
        *,
        model: str | Path | Model | None = None,
        mode: Mode = "fidelity",
        draws: int = 1,
        steps: int | None = None,
        seed: int = 0,
        sensor: str = "box",
        nodata: float | None = None,
        dims: tuple[str, str] | None = None,
    ) -> xr.DataArray:
        """Return the array ``scale`` times finer along rows and columns.

        Pixels are those of :meth:`ultrares.Model.upscale`. An array backed by dask stays lazy, and its
        chunks of rows and columns become chunks of the result, which does not depend on them. The names,
        attributes, type and order of dimensions are kept.

        Args:
            scale: Above 1, to 128.
            model: A loaded model, or anything that :func:`ultrares.load` takes by name.
            mode: ``fidelity`` for the conditional mean, ``perceptual`` for a sample.
            draws: Samples to average in perceptual mode.
            steps: Denoiser calls per level of a sample.
            seed: Seed of the samples.
            sensor: ``box``, ``bicubic`` or ``mtf:VALUE``.
            nodata: The value that means no data; None for the one that the attributes ``_FillValue``,
                ``missing_value`` or ``nodata`` name. Not-a-number means it in any case.
            dims: Names of rows and columns; None for y and x, lat and lon, or their like.

        Raises:
            InputError: The array or an option cannot be used.
            ModelError: The model is missing or cannot do it.
        """
        array = self._array
        y, x = _spatial(array, dims)
        _check(array, y, x)
        others = [dim for dim in array.dims if dim not in (y, x)]
        missing = _nodata(array) if nodata is None else nodata
        wish = Wish(scale, model, mode, draws, steps, seed, sensor, missing)
        grid = wish.grid(Shape(array.sizes[y], array.sizes[x]))
        coordinates = finer_coordinates(array, y, x, grid)
        ordered = array.transpose(*others, y, x)
        data = ordered.data if others else ordered.data[None]
        fine = _upscaled(data, wish)
        result = xr.DataArray(
            fine if others else fine[0],
            coords=coordinates,
            dims=ordered.dims,
            name=array.name,
            attrs=array.attrs,
        )
        result.encoding = _lasting(array.encoding)
        return result.transpose(*array.dims)


def _upscaled(data: Any, wish: Wish) -> Any:
    """Pixels (C, H, W) upscaled: now if they are at hand, else when they are asked for."""
    if isinstance(data, np.ndarray):
        return wish.upscaled(data)
    from ultrares.xarray.lazy import upscaled_lazily

    return upscaled_lazily(data, wish)


def _spatial(array: xr.DataArray, dims: tuple[str, str] | None) -> tuple[str, str]:
    """The names of rows and columns."""
    for names in SPATIAL if dims is None else (dims,):
        if set(names) <= set(array.dims):
            return names
    raise InputError(
        f"an array of the dimensions {array.dims} has no rows and columns that are known by name; pass them as "
        'dims=("rows", "columns")'
    )


def _check(array: xr.DataArray, y: str, x: str) -> None:
    """Refuse what cannot be upscaled, before anything is computed."""
    others = [str(dim) for dim in array.dims if dim not in (y, x)]
    if len(others) > 1:
        raise InputError(
            f"an array has one dimension of bands besides {y} and {x}, not {', '.join(others)}; upscale one "
            f"{others[0]} after the other"
        )
    if 0 in array.shape:
        raise InputError(f"an array of shape {array.shape} has no pixels")
    if array.dtype.kind not in "iuf" or array.dtype == np.float16:
        raise InputError(
            f"an array of {array.dtype} cannot be upscaled: convert it to integers or float32"
        )


def _nodata(array: xr.DataArray) -> float | None:
    """The value that means no data in the array as it is; what files encode it as is of no interest."""
    for name in ("_FillValue", "missing_value", "nodata"):
        value = array.attrs.get(name)
        if value is not None and not np.isnan(value):
            return float(value)
    return None


def _lasting(encoding: dict[str, Any]) -> dict[str, Any]:
    """How the array is to be stored, without what speaks of its size."""
    kept = ("_FillValue", "missing_value", "scale_factor", "add_offset", "dtype", "grid_mapping")
    return {key: encoding[key] for key in kept if key in encoding}
