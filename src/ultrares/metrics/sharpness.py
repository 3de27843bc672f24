"""How much an image changes from pixel to pixel."""

from __future__ import annotations

import math

from torch import Tensor

from ultrares.errors import InputError
from ultrares.metrics.patch import SIDE, Patch
from ultrares.metrics.pixels import Pixels, as_double


def average_gradient(image: Pixels) -> float:
    """Root mean square of the two forward differences at each pixel, averaged over pixels and bands.

    It is the mean of sqrt((dx^2 + dy^2) / 2) over the pixels that have a right and a lower neighbour, in
    the image's own units. It measures sharpness and not quality: noise raises it too, so read it beside
    the truth's own.

    Args:
        image: Shape (C, H, W), any numeric type.

    Raises:
        InputError: The image has fewer than 2 x 2 pixels.
    """
    pixels = as_double(image)
    if pixels.ndim != 3 or min(pixels.shape[-2:]) < 2:
        raise InputError(
            f"the average gradient of shape {tuple(pixels.shape)} is not defined: pass (C, H, W) "
            "of at least 2 x 2 pixels"
        )
    return float(_gradient(pixels).mean())


def _gradient(pixels: Tensor) -> Tensor:
    """The gradient of (..., H, W) at each pixel with a right and a lower neighbour, (..., H - 1, W - 1)."""
    corner = pixels[..., :-1, :-1]
    across = pixels[..., :-1, 1:] - corner
    down = pixels[..., 1:, :-1] - corner
    return ((across.square() + down.square()) / 2).sqrt()


class GradientTally:
    """The average gradients of both images, added up patch by patch."""

    halo = 1
    side = SIDE

    def __init__(self) -> None:
        self._estimate, self._truth, self._count = 0.0, 0.0, 0

    def add(self, patch: Patch) -> None:
        """Count the pixels of a core whose right and lower neighbours are valid too."""
        pair, inner = patch.pair, patch.inner
        valid = pair.valid[:-1, :-1] & pair.valid[:-1, 1:] & pair.valid[1:, :-1]
        valid = valid[inner]
        for one, other in zip(pair.estimate, pair.truth, strict=True):
            self._estimate += float(_gradient(one)[inner][valid].sum())
            self._truth += float(_gradient(other)[inner][valid].sum())
            self._count += int(valid.sum())

    def scores(self) -> dict[str, float]:
        """``ag`` of the estimate, ``ag_true``, their ratio and their absolute difference."""
        if not self._count:
            return dict.fromkeys(("ag", "ag_true", "ag_ratio", "ag_difference"), math.nan)
        ours, true = self._estimate / self._count, self._truth / self._count
        return {
            "ag": ours,
            "ag_true": true,
            "ag_ratio": ours / true if true else math.nan,
            "ag_difference": abs(ours - true),
        }
