"""Sensor models: the degradation D that relates a fine image to the coarse one that was measured."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from ultrares.errors import OptionError


class SensorModel(Protocol):
    """A linear, shift-invariant reduction by an integer factor.

    One object serves the synthesis of training data, the consistency projection and the metric.
    """

    @property
    def name(self) -> str:
        """The text that :func:`parse_sensor` turns back into this model."""

    @property
    def mtf(self) -> float:
        """Modulation transfer at the Nyquist frequency of the coarse pixels, in (0, 1)."""

    @property
    def reach(self) -> int:
        """Coarse pixels beyond its own that a coarse pixel gathers light from, on each side."""

    def degrade(self, image: Tensor, factor: int) -> Tensor:
        """Reduce ``image`` (B, C, factor * h, factor * w) to (B, C, h, w)."""


@dataclass(frozen=True)
class Box:
    """The mean of each block: a detector without optics, and the exact constraint of ultrares."""

    name: str = "box"
    mtf: float = 2 / math.pi
    reach: int = 0

    def degrade(self, image: Tensor, factor: int) -> Tensor:
        """Average each block of ``factor`` by ``factor`` pixels."""
        return F.avg_pool2d(image, factor)


@dataclass(frozen=True)
class Bicubic:
    """Keys' cubic (a = -0.5) with antialiasing, the protocol of the super-resolution literature.

    Its transfer at Nyquist, integrated from the kernel's closed form, is 0.4928.
    """

    name: str = "bicubic"
    mtf: float = 0.4928
    reach: int = 2

    def degrade(self, image: Tensor, factor: int) -> Tensor:
        """Reduce with the antialiased bicubic kernel; borders are clamped."""
        size = (image.shape[-2] // factor, image.shape[-1] // factor)
        return F.interpolate(image, size=size, mode="bicubic", antialias=True)


@dataclass(frozen=True)
class GaussianMtf:
    """A Gaussian point spread function, given by its modulation transfer at Nyquist."""

    mtf: float
    reach: int = 2

    @property
    def name(self) -> str:
        """The text form, ``mtf:VALUE``."""
        return f"mtf:{self.mtf:g}"

    def kernel(self, factor: int) -> Tensor:
        """Sampled one-dimensional point spread function of ``(2 * reach + 1) * factor`` fine pixels."""
        std = math.sqrt(-2 * math.log(self.mtf)) / math.pi * factor
        length = (2 * self.reach + 1) * factor
        offset = torch.arange(length, dtype=torch.float64) - (length - 1) / 2
        weights = torch.exp(-0.5 * (offset / std) ** 2)
        return (weights / weights.sum()).float()

    def degrade(self, image: Tensor, factor: int) -> Tensor:
        """Blur with the point spread function and sample at the centres; borders are clamped."""
        channels = image.shape[1]
        margin = self.reach * factor
        taps = self.kernel(factor).to(image)
        wide = F.pad(image, (margin,) * 4, mode="replicate")
        rows = taps.view(1, 1, -1, 1).expand(channels, 1, -1, 1)
        columns = taps.view(1, 1, 1, -1).expand(channels, 1, 1, -1)
        wide = F.conv2d(wide, rows, stride=(factor, 1), groups=channels)
        return F.conv2d(wide, columns, stride=(1, factor), groups=channels)


def parse_sensor(text: str) -> SensorModel:
    """Turn ``box``, ``bicubic`` or ``mtf:VALUE`` into a sensor model.

    Raises:
        OptionError: The text names no sensor, or the transfer is not within 0.05 to 0.9.
    """
    if text == "box":
        return Box()
    if text == "bicubic":
        return Bicubic()
    kind, _, value = text.partition(":")
    if kind == "mtf":
        try:
            mtf = float(value)
        except ValueError:
            mtf = math.nan
        if 0.05 <= mtf <= 0.9:
            return GaussianMtf(mtf)
        raise OptionError(
            f"sensor {text!r}: the modulation transfer at Nyquist must lie within 0.05 and 0.9, "
            "for example mtf:0.3"
        )
    raise OptionError(
        f"unknown sensor {text!r}: choose box, bicubic or mtf:VALUE, for example mtf:0.3"
    )
