"""Where the finer pixels of an xarray lie: its coordinates and its reference system."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import numpy as np
import xarray as xr
from affine import Affine
from numpy.typing import NDArray

from ultrares.errors import InputError
from ultrares.scene.target_grid import Axis, TargetGrid

EVEN = 1e-4
"""Steps between coordinates that differ by less than this share of one are even: text and float32 round."""


def finer_coordinates(array: xr.DataArray, y: str, x: str, grid: TargetGrid) -> dict[str, Any]:
    """The coordinates of an upscaled array.

    Those along rows and columns become the centres of the finer pixels. What has neither stays as it is;
    what has more than one dimension and one of these is left out, for it would have to be resampled.

    Raises:
        InputError: A coordinate cannot be refined.
    """
    axes = {y: grid.rows, x: grid.cols}
    result: dict[str, Any] = {}
    for name, coordinate in array.coords.items():
        along = [dim for dim in coordinate.dims if dim in axes]
        if not along:
            result[str(name)] = _moved_reference(coordinate, grid)
        elif len(coordinate.dims) == 1:
            dim = str(along[0])
            centres = finer_centres(coordinate.to_numpy(), axes[dim], str(name))
            result[str(name)] = xr.Variable((dim,), centres, coordinate.attrs)
    return result


def finer_centres(centres: np.ndarray, axis: Axis, name: str) -> NDArray[np.float64]:
    """Centres of finer pixels along an axis, from those of the pixels.

    Args:
        centres: Coordinates of the pixels, shape (n,), evenly spaced or not.
        axis: Where the finer pixels lie on them.
        name: The coordinate's, for the message.

    Raises:
        InputError: They are no numbers, or there is only one.
    """
    if centres.dtype.kind not in "iuf":
        raise InputError(f"coordinate {name!r} of {centres.dtype} cannot be refined; drop it first")
    if len(centres) < 2:
        raise InputError(
            f"coordinate {name!r} has a single value, which does not tell how large its pixel is; "
            "drop it first"
        )
    values = centres.astype(np.float64)
    edges = axis.edges(0, axis.size)
    at = (edges[:-1] + edges[1:]) / 2 - 0.5
    step = (values[-1] - values[0]) / (len(values) - 1)
    if np.abs(np.diff(values) - step).max() <= EVEN * abs(step):
        fine: NDArray[np.float64] = values[0] + at * step
        return fine
    # The outermost pixels reach beyond their centres, where the nearest step goes on.
    first = at.astype(int).clip(0, len(values) - 2)
    return values[first] + (at - first) * np.diff(values)[first]


def _moved_reference(coordinate: xr.DataArray, grid: TargetGrid) -> xr.DataArray:
    """A coordinate that describes the grid, such as rioxarray's ``spatial_ref``, on the finer one."""
    attributes = dict(coordinate.attrs)
    if "GeoTransform" in attributes:
        numbers = [float(number) for number in str(attributes["GeoTransform"]).split()]
        fine = grid.transform(Affine.from_gdal(*numbers)).to_gdal()
        attributes["GeoTransform"] = " ".join(repr(number) for number in fine)
    if "gcps" in attributes:
        attributes["gcps"] = _moved_points(attributes["gcps"], grid)
    moved = coordinate.copy()
    moved.attrs = attributes
    return moved


def _moved_points(text: Any, grid: TargetGrid) -> Any:
    """Ground control points as rioxarray keeps them: GeoJSON, whose rows and columns count corners."""
    points = json.loads(text) if isinstance(text, str) else deepcopy(text)
    for feature in points["features"]:
        place = feature["properties"]
        place["row"] = (place["row"] - grid.rows.start) / grid.rows.pitch
        place["col"] = (place["col"] - grid.cols.start) / grid.cols.pitch
    return json.dumps(points) if isinstance(text, str) else points
