"""What a metric takes: images as arrays or tensors, compared in double precision."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ultrares.errors import InputError

Pixels = np.ndarray | Tensor
"""An image (C, H, W) of any numeric type, without pixels that hold no data."""


def as_double(image: Pixels) -> Tensor:
    """The same image as a tensor of doubles in main memory.

    Args:
        image: Any shape, any numeric type.
    """
    if isinstance(image, Tensor):
        return image.detach().cpu().double()
    return torch.from_numpy(np.asarray(image, dtype=np.float64))


def as_doubles(estimate: Pixels, truth: Pixels) -> tuple[Tensor, Tensor]:
    """Both images as tensors of doubles.

    Raises:
        InputError: Their shapes differ.
    """
    if tuple(estimate.shape) != tuple(truth.shape):
        raise InputError(
            f"an image of shape {tuple(estimate.shape)} cannot be compared with one of shape "
            f"{tuple(truth.shape)}: pass two images of one shape"
        )
    return as_double(estimate), as_double(truth)
