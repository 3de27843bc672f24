"""How much an image changes from pixel to pixel."""

from __future__ import annotations

from ultrares.errors import InputError
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
    corner = pixels[:, :-1, :-1]
    across = pixels[:, :-1, 1:] - corner
    down = pixels[:, 1:, :-1] - corner
    return float(((across.square() + down.square()) / 2).sqrt().mean())
