"""How far colours turn, whatever their brightness."""

from __future__ import annotations

import math

import torch

from ultrares.errors import InputError
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
    norm_one, norm_other = one.norm(dim=0), other.norm(dim=0)
    defined = (norm_one > 0) & (norm_other > 0)
    if not defined.any():
        return math.nan
    u = one[:, defined] / norm_one[defined]
    v = other[:, defined] / norm_other[defined]
    angles = 2 * torch.atan2((u - v).norm(dim=0), (u + v).norm(dim=0))
    return math.degrees(float(angles.mean()))
