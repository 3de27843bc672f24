"""Between digital numbers and the [0, 1] that networks see, and what stands in for missing pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from rasterio.fill import fillnodata
from torch import Tensor

from ultrares.scene.profile import SceneProfile

FILL_DISTANCE = 16
"""How far, in pixels, valid neighbours reach into a gap; beyond it the band's median stands in."""

PERCENTILES = (0.5, 99.5)
MARGIN = 0.05


class _Sampled(Protocol):
    @property
    def profile(self) -> SceneProfile: ...

    def sample(self) -> tuple[np.ndarray, np.ndarray]: ...


@dataclass(frozen=True, eq=False)
class Radiometry:
    """A scene's radiometric range: one value for the whole scene, whatever part of it is upscaled.

    Attributes:
        lit: Which bands carry light and go to the networks; the others are alpha. Shape (C,).
        low: Digital number that becomes 0 in each lit band, shape (L, 1, 1).
        high: Digital number that becomes 1, shape (L, 1, 1).
        fill: Normalised median of each lit band, shape (L,).
        bounds: Smallest and largest digital number that may be written.
    """

    lit: NDArray[np.bool_]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    fill: NDArray[np.float32]
    bounds: tuple[float, float]

    @classmethod
    def of(cls, source: _Sampled) -> Radiometry:
        """Read a scene's range: 0 to 255 for unsigned bytes, robust percentiles for all else."""
        array, valid = source.sample()
        lit = ~np.array(source.profile.alpha)
        ranges = [_range(a[v]) for a, v in zip(array[lit], valid[lit], strict=True)]
        low, high, middle = (
            np.array(column, dtype=np.float64) for column in zip(*ranges, strict=True)
        )
        fill = np.clip((middle - low) / (high - low), 0, 1).astype(np.float32)
        return cls(lit, low[:, None, None], high[:, None, None], fill, _bounds(array, valid))

    def normalise(self, array: np.ndarray, valid: np.ndarray) -> Tensor:
        """Map a window's lit bands to [0, 1] and fill its gaps from valid neighbours.

        Args:
            array: Digital numbers, (C, h, w).
            valid: Validity, (C, h, w).

        Returns:
            Shape (1, L, h, w), float32; not clipped.
        """
        array, valid = array[self.lit], valid[self.lit]
        with np.errstate(invalid="ignore", over="ignore"):
            unit = ((array.astype(np.float64) - self.low) / (self.high - self.low)).astype(
                np.float32
            )
        if not valid.all():
            for band, (pixels, usable) in enumerate(zip(unit, valid, strict=True)):
                unit[band] = _fill(pixels, usable, float(self.fill[band]))
        return torch.from_numpy(unit)[None]

    def denormalise(self, unit: np.ndarray) -> NDArray[np.float64]:
        """Map (L, h, w) from [0, 1] back to digital numbers."""
        return self.low + unit.astype(np.float64) * (self.high - self.low)

    def to_type(
        self, levels: NDArray[np.float64], dtype: np.dtype, nodata: float | None
    ) -> np.ndarray:
        """Clip and round digital numbers to the type, stepping off the value that means no data."""
        low, high = self.bounds
        if dtype.kind == "f":
            values = np.clip(levels, low, high).astype(dtype)
            if nodata is not None:
                hit = values == nodata
                values[hit] = np.nextafter(values[hit], dtype.type(np.inf))
            return values
        rounded = np.rint(levels)
        if nodata is not None:
            low, high = low + (nodata == low), high - (nodata == high)
            rounded = np.where(rounded == nodata, rounded + (1 if nodata < high else -1), rounded)
        # float64 cannot hold the largest 64-bit integers: the next lower float can be cast.
        ceiling = min(float(high), np.nextafter(float(high), 0) if high > 2**53 else float(high))
        return np.clip(rounded, low, ceiling).astype(dtype)


def _range(values: np.ndarray) -> tuple[float, float, float]:
    """Low, high and median of a band's valid pixels."""
    if values.size == 0:
        return 0.0, 1.0, 0.0
    middle = float(np.median(values))
    if values.dtype == np.uint8:
        return 0.0, 255.0, middle
    low, high = (float(value) for value in np.percentile(values.astype(np.float64), PERCENTILES))
    margin = MARGIN * (high - low)
    if not margin > 0:
        # A flat band: any width will do, but it must survive the subtraction.
        margin = max(0.5, abs(middle) * 1e-3)
    return low - margin, high + margin, middle


def _bounds(array: np.ndarray, valid: np.ndarray) -> tuple[float, float]:
    if array.dtype.kind in "iu":
        limits = np.iinfo(array.dtype)
        return limits.min, limits.max
    return (0.0 if array[valid].min(initial=0.0) >= 0 else -np.inf), np.inf


def _fill(pixels: NDArray[np.float32], valid: NDArray[np.bool_], middle: float) -> np.ndarray:
    if valid.all():
        return pixels
    filled = np.where(valid, pixels, middle)
    if not valid.any():
        return filled
    return fillnodata(filled, mask=valid.astype(np.uint8), max_search_distance=FILL_DISTANCE)
