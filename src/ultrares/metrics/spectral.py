"""How far colours turn, whatever their brightness."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ultrares.errors import InputError
from ultrares.metrics.patch import SIDE, Patch
from ultrares.metrics.pixels import Pixels, as_doubles


def sam(estimate: Pixels, truth: Pixels) -> float:
    """Spectral angle in degrees between the spectra of both images, averaged over pixels.

    The angle is arccos(<x, y> / (|x| |y|)) (Kruse et al., 1993), computed as twice the arctangent of
    |u - v| / |u + v| for unit spectra, which keeps small angles exact. Pixels that are zero in all bands of
    either image have no direction and are skipped.

    Args:
        estimate: Shape (C, H, W), any numeric type.
        truth: The same shape.

    Returns:
        0 to 180, and to 90 without negative values; not-a-number if every pixel is skipped.

    Raises:
        InputError: The shapes differ, or there are fewer than two bands.
    """
    one, other = as_doubles(estimate, truth)
    if one.ndim != 3 or len(one) < 2:
        raise InputError(
            f"the spectral angle of shape {tuple(one.shape)} is not defined: pass (C, H, W) with "
            "two bands or more"
        )
    angles = _angles(one.flatten(1), other.flatten(1))
    return math.degrees(float(angles.mean())) if len(angles) else math.nan


def _angles(one: Tensor, other: Tensor) -> Tensor:
    """Angles in radians between spectra (C, n), of those that have a direction."""
    norm_one, norm_other = one.norm(dim=0), other.norm(dim=0)
    defined = (norm_one > 0) & (norm_other > 0)
    u = one[:, defined] / norm_one[defined]
    v = other[:, defined] / norm_other[defined]
    return 2 * torch.atan2((u - v).norm(dim=0), (u + v).norm(dim=0))


class AngleTally:
    """The spectral angle, added up patch by patch."""

    halo = 0
    side = SIDE

    def __init__(self) -> None:
        self._sum, self._count = 0.0, 0

    def add(self, patch: Patch) -> None:
        """Count the core of a patch."""
        angles = _angles(*patch.counted)
        self._sum += float(angles.sum())
        self._count += len(angles)

    def scores(self) -> dict[str, float]:
        """``sam``, in degrees."""
        return {"sam": math.degrees(self._sum / self._count) if self._count else math.nan}
