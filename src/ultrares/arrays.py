"""Images in memory: from arrays and tensors to arrays and tensors, through the same tiles as files."""

from __future__ import annotations

import warnings
from typing import Any, Protocol, TypeVar

import numpy as np
import torch

from ultrares.errors import InputError
from ultrares.methods.route import Route
from ultrares.scene.array_sink import ArraySink
from ultrares.scene.grid_choice import grid_of_scale
from ultrares.scene.radiometry import Radiometry
from ultrares.scene.reference import ArrayReference
from ultrares.scene.source import ArraySource
from ultrares.scene.tile import write_tiles
from ultrares.tilers import tiler_along
from ultrares.types import Shape

Image = TypeVar("Image", np.ndarray, torch.Tensor)


class RouteOf(Protocol):
    """How a scale is reached, with a reference or without one."""

    def __call__(self, *, with_reference: bool) -> Route:
        """The way of a model."""
        ...


def upscale_array(
    image: Image,
    scale: float,
    route_of: RouteOf,
    *,
    reference: Image | None,
    exact: bool,
    with_spread: bool,
    widening: float | None,
) -> tuple[Image, Image | None]:
    """An image (C, H, W) made finer, and how far draws lie apart in it, in the kind of array it came as.

    Args:
        image: Array or tensor.
        scale: Above 1.
        route_of: How it is reached; asked again where the reference turns out to show something else.
        reference: A finer image of the same extent.
        exact: Whether block means are made those of the image.
        with_spread: Whether the spread is wanted; else it is None.
        widening: What turns it into an expected error, if that is known.

    Raises:
        InputError: Image or reference cannot be used.
    """
    route = route_of(with_reference=reference is not None)
    source = ArraySource(_as_array(image, "image"))
    radiometry = Radiometry.of(source)
    guide = None
    if reference is not None:
        guide = ArrayReference(_as_array(reference, "reference"), source, radiometry)
        if not guide.shows_the_scene:
            warnings.warn(guide.unlike_the_scene, stacklevel=4)
            guide, route = None, route_of(with_reference=False)
        elif not guide.was_judged:
            warnings.warn(guide.hardly_on_the_scene, stacklevel=4)
    grid = grid_of_scale(source.shape, scale)
    shape = Shape(grid.rows.size, grid.cols.size)
    sink = ArraySink(source.bands, shape, source.dtype)
    spread = ArraySink(source.bands, shape, np.dtype(np.float32)) if with_spread else None
    tiler = tiler_along(
        route,
        source,
        grid,
        radiometry=radiometry,
        exact=exact,
        reference=guide,
        with_spread=with_spread,
        widening=widening,
    )
    write_tiles(tiler, sink, spread=spread)
    fine = _as_given(sink.array, image)
    return fine, None if spread is None else _as_given(spread.array, image)


def _as_array(image: Any, name: str) -> np.ndarray:
    if isinstance(image, torch.Tensor):
        if image.dtype == torch.bfloat16:
            raise InputError(f"{name} of bfloat16 cannot be upscaled: pass integers or float32")
        image = image.detach().cpu().numpy()
    if isinstance(image, np.ma.MaskedArray):
        image = _unmasked(image, name)
    array = np.asarray(image)
    if array.ndim != 3:
        raise InputError(f"{name} must be an array or a tensor of shape (C, H, W)")
    return array


def _unmasked(image: np.ma.MaskedArray[Any, Any], name: str) -> np.ndarray:
    """A masked array as one that says itself where it has no data."""
    if image.dtype.kind == "f":
        return image.filled(np.nan)
    if np.ma.is_masked(image):
        raise InputError(
            f"{name} is a masked array of {image.dtype}, which cannot say where it has no data: pass "
            "image.astype('float32').filled(numpy.nan), or upscale the file"
        )
    return np.asarray(image.data)


def _as_given(array: np.ndarray, image: Image) -> Image:
    """A result as the kind of array, and on the device, that the image came as."""
    if isinstance(image, torch.Tensor):
        return torch.from_numpy(array).to(image.device)
    return array
