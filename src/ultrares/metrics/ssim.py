"""Structural similarity: agreement of local means, variances and covariances."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from ultrares.errors import InputError
from ultrares.metrics import patch as patches
from ultrares.metrics.pixels import Pixels, as_doubles
from ultrares.metrics.smoothing import smoothed

SIDE = 11
STD = 1.5
K1, K2 = 0.01, 0.03


def ssim(estimate: Pixels, truth: Pixels, *, peak: float = 255.0) -> float:
    """Structural similarity, averaged over bands and over the places where the whole window fits.

    The window is a Gaussian of standard deviation 1.5 on 11 x 11 pixels; K1 = 0.01 and K2 = 0.03; variances
    are the weighted population's (Wang et al., "Image quality assessment: from error visibility to
    structural similarity", 2004). No reduction of the image goes before it.

    Args:
        estimate: Shape (C, H, W), any numeric type.
        truth: The same shape.
        peak: Largest value the data can take.

    Returns:
        At most 1, which only equal images reach.

    Raises:
        InputError: The shapes differ, or the images are smaller than the window.
    """
    one, other = as_doubles(estimate, truth)
    if one.ndim != 3 or min(one.shape[-2:]) < SIDE:
        raise InputError(
            f"SSIM of shape {tuple(one.shape)} is not defined: pass (C, H, W) of at least "
            f"{SIDE} x {SIDE} pixels"
        )
    return float(_similarity(one, other, peak).mean())


def _similarity(one: Tensor, other: Tensor, peak: float) -> Tensor:
    """Similarity at every place of (C, H, W) where the window fits, (C, H - 10, W - 10)."""
    # The statistics do not change when both images move together; small numbers cancel better.
    shift = other.mean()
    mean_one, mean_other = _local_mean(one - shift), _local_mean(other - shift)
    variance_one = _local_mean((one - shift).square()) - mean_one.square()
    variance_other = _local_mean((other - shift).square()) - mean_other.square()
    covariance = _local_mean((one - shift) * (other - shift)) - mean_one * mean_other
    mean_one, mean_other = mean_one + shift, mean_other + shift
    c1, c2 = (K1 * peak) ** 2, (K2 * peak) ** 2
    luminance = (2 * mean_one * mean_other + c1) / (mean_one.square() + mean_other.square() + c1)
    structure = (2 * covariance + c2) / (variance_one + variance_other + c2)
    return luminance * structure


def _local_mean(image: Tensor) -> Tensor:
    """Gaussian-weighted mean at every place of (C, H, W) where the window fits."""
    offset = torch.arange(SIDE, dtype=torch.float64) - (SIDE - 1) / 2
    weights = torch.exp(-0.5 * (offset / STD) ** 2)
    return smoothed(image, weights / weights.sum())


class SimilarityTally:
    """Structural similarity, added up patch by patch over places whose whole window is valid.

    Args:
        peak: Largest value the data can take.
    """

    halo = SIDE // 2
    side = patches.SIDE

    def __init__(self, peak: float) -> None:
        self._peak, self._sum, self._count = peak, 0.0, 0

    def add(self, patch: patches.Patch) -> None:
        """Count the places whose centre lies in the core of a patch."""
        if min(patch.window.height, patch.window.width) < SIDE:
            return
        # The map begins at the first place whose window fits, half a window into the patch.
        centres = tuple(
            slice(max(part.start - self.halo, 0), part.stop - self.halo) for part in patch.inner
        )
        spoilt = (~patch.pair.valid)[None].float()
        usable = (F.max_pool2d(spoilt, SIDE, stride=1)[0] == 0)[centres]
        for one, other in zip(patch.pair.estimate, patch.pair.truth, strict=True):
            here = _similarity(one[None], other[None], self._peak)[0][centres][usable]
            self._sum += float(here.sum())
            self._count += len(here)

    def scores(self) -> dict[str, float]:
        """``ssim``."""
        return {"ssim": self._sum / self._count if self._count else math.nan}
