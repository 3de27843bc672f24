"""How an image of several bands becomes one of brightness."""

from __future__ import annotations

from torch import Tensor

from ultrares.errors import InputError

LUMA = (0.2989, 0.5870, 0.1140)


def luminance(image: Tensor) -> Tensor:
    """Brightness of an image (C, H, W): of its first three bands as red, green and blue, by BT.601.

    The weights are 0.2989, 0.5870 and 0.1140. An image of one band is its own brightness.

    Raises:
        InputError: The image has two bands.
    """
    if len(image) == 1:
        return image[0]
    if len(image) == 2:
        raise InputError("the brightness of two bands is not defined: pass one band, or three")
    red, green, blue = LUMA
    return red * image[0] + green * image[1] + blue * image[2]
