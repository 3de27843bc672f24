"""Whether a finer image, reduced again, is the coarse one that it was made from."""

from __future__ import annotations

import math

import torch

from ultrares.errors import InputError
from ultrares.metrics.fidelity import psnr_of
from ultrares.metrics.pixels import Pixels, as_double
from ultrares.sensor.models import SensorModel
from ultrares.types import Window

SEEN = 1 - 1e-4
"""Share of a coarse pixel's light that must come from valid fine pixels."""


def lr_psnr(fine: Pixels, coarse: Pixels, sensor: SensorModel, *, peak: float = 255.0) -> float:
    """Peak signal-to-noise ratio in decibels between the reduced fine image and the coarse one.

    Args:
        fine: Shape (C, k * h, k * w), any numeric type.
        coarse: Shape (C, h, w), with a whole number k.
        sensor: How a coarse pixel gathers light.
        peak: Largest value the data can take.

    Returns:
        Infinity where both are equal.

    Raises:
        InputError: The sizes are no multiples, or the bands differ.
    """
    scale = scale_of(tuple(fine.shape), tuple(coarse.shape))
    one, other = as_double(fine), as_double(coarse)
    tally = ConsistencyTally(sensor, scale)
    valid = torch.ones_like(other, dtype=torch.bool)
    everything = Window(0, 0, *other.shape[-2:])
    tally.add((one, torch.ones_like(one, dtype=torch.bool)), (other, valid), everything)
    return psnr_of(tally.mse, peak)


def scale_of(fine: tuple[int, ...], coarse: tuple[int, ...]) -> int:
    """Fine pixels per coarse pixel along one side, from two shapes (C, H, W).

    Raises:
        InputError: It is not the same whole number for rows and columns, or the bands differ.
    """
    if len(fine) != 3 or len(coarse) != 3 or fine[0] != coarse[0] or 0 in coarse:
        raise InputError(
            f"an image of shape {fine} cannot be reduced to one of shape {coarse}: pass (C, H, W) "
            "with the same bands"
        )
    scale = fine[1] // coarse[1]
    if scale < 1 or fine[1:] != (scale * coarse[1], scale * coarse[2]):
        raise InputError(
            f"{fine[2]} x {fine[1]} pixels are no whole multiple of {coarse[2]} x {coarse[1]}: "
            "pass the coarse image that the fine one was made from"
        )
    return scale


class ConsistencyTally:
    """Squared differences of coarse pixels, added up part by part.

    Args:
        sensor: How a coarse pixel gathers light.
        scale: Fine pixels per coarse pixel, along one side.
    """

    def __init__(self, sensor: SensorModel, scale: int) -> None:
        self._sensor, self._scale = sensor, scale
        self._sum, self._count = 0.0, 0

    def add(
        self,
        fine: tuple[torch.Tensor, torch.Tensor],
        coarse: tuple[torch.Tensor, torch.Tensor],
        inner: Window,
    ) -> None:
        """Count a part of the images.

        Args:
            fine: Doubles and validity, both (C, k * h, k * w), of the part with what its edges gather
                light from.
            coarse: Doubles and validity, both (C, h', w'), of the part.
            inner: Where the part lies in ``fine``, in coarse pixels.
        """
        pixels, usable = fine
        place = (
            slice(None),
            slice(inner.row, inner.row + inner.height),
            slice(inner.col, inner.col + inner.width),
        )
        reduced = self._sensor.degrade(pixels[None], self._scale)[0][place]
        share = self._sensor.degrade(usable.double()[None], self._scale)[0][place]
        difference = (reduced - coarse[0])[(share > SEEN) & coarse[1]]
        self._sum += float(difference.square().sum())
        self._count += len(difference)

    @property
    def mse(self) -> float:
        """Mean squared difference; not-a-number if nothing was seen."""
        return self._sum / self._count if self._count else math.nan
