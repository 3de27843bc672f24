"""Sensor models at any ratio: the reduction of an image to fewer pixels as a matrix along each axis."""

from __future__ import annotations

import math
from collections.abc import Hashable
from functools import lru_cache
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from ultrares.errors import OptionError
from ultrares.sensor.areas import shares
from ultrares.sensor.models import Bicubic, Box, GaussianMtf, SensorModel


def reduce_to(image: Tensor, size: tuple[int, int], sensor: SensorModel) -> Tensor:
    """Reduce ``image`` (B, C, H, W) to ``size`` (h, w), of any ratio, by a sensor model.

    At whole ratios this is the sensor's own :meth:`~ultrares.sensor.models.SensorModel.degrade`, up to
    rounding.

    Raises:
        OptionError: There is no such reduction of this sensor.
    """
    rows, cols = (
        torch.from_numpy(_remembered(cast(Hashable, sensor), fine, coarse)).to(image)
        for fine, coarse in zip(image.shape[-2:], size, strict=True)
    )
    return torch.einsum("hH,bcHW,wW->bchw", rows, image, cols)


@lru_cache(maxsize=256)
def _remembered(sensor: Hashable, fine: int, coarse: int) -> NDArray[np.float64]:
    # Sensors are frozen, which their protocol cannot say.
    return reduction(cast("SensorModel", sensor), fine, coarse)


def reduction(sensor: SensorModel, fine: int, coarse: int) -> NDArray[np.float64]:
    """The weights of ``fine`` pixels in each of ``coarse`` along one axis, shape (coarse, fine); rows sum to 1.

    Raises:
        OptionError: There is no such reduction of this sensor.
    """
    if isinstance(sensor, Box):
        edges = np.arange(coarse + 1, dtype=np.float64) * (fine / coarse)
        return shares(edges, 0, fine).T * (coarse / fine)
    if isinstance(sensor, Bicubic):
        unit = torch.eye(fine, dtype=torch.float64)[None, None]
        # What the kernel makes of each unit pixel is its column.
        columns = F.interpolate(unit, size=(coarse, fine), mode="bicubic", antialias=True)
        return columns[0, 0].numpy()
    if isinstance(sensor, GaussianMtf):
        return _gaussian(sensor, fine, coarse)
    raise OptionError(f"sensor {sensor.name!r} reduces by whole numbers only")


def _gaussian(sensor: GaussianMtf, fine: int, coarse: int) -> NDArray[np.float64]:
    """Samples of the point spread function around each coarse centre, clamped at the image's edge."""
    ratio = fine / coarse
    std = math.sqrt(-2 * math.log(sensor.mtf)) / math.pi * ratio
    reach = math.ceil((sensor.reach + 0.5) * ratio)
    centres = (np.arange(coarse) + 0.5) * ratio
    first = np.floor(centres).astype(int) - reach
    taps = first[:, None] + np.arange(2 * reach + 1)
    weights = np.exp(-0.5 * ((taps + 0.5 - centres[:, None]) / std) ** 2)
    weights[np.abs(taps + 0.5 - centres[:, None]) > (sensor.reach + 0.5) * ratio] = 0
    weights /= weights.sum(axis=1, keepdims=True)
    matrix = np.zeros((coarse, fine))
    rows = np.broadcast_to(np.arange(coarse)[:, None], taps.shape)
    np.add.at(matrix, (rows, taps.clip(0, fine - 1)), weights)
    return matrix
