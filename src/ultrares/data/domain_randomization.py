"""Domain randomization: two dates of one place as another camera would have shown them, of another town.

The imagery of two dates at hand is of one town and one camera, and a network that sees no other learns them too well
(Tobin et al., 2017, for the idea). Both images are changed alike in size, contrast and colour, and each by itself in
sharpness, so what differs between the dates still does.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

CONTRAST = 0.4
"""Largest exponent of two of the exponent of pixels (gamma)."""

MIXED, MIXTURE, LEAST_LIGHT = 0.5, 0.25, 0.3
"""Share of places whose bands are mixed, the largest weight of another band, and the least sum that weights are divided by."""

SHARPNESS = 1.2
"""Largest multiple of the finest detail that is added or taken away."""

RESIZED, ZOOM = 0.7, 0.45
"""Share of places whose size changes, and the largest exponent of two it changes by."""


def randomized_light(
    rng: np.random.Generator, image: Tensor, other: Tensor
) -> tuple[Tensor, Tensor]:
    """Change contrast and colours of two images (C, H, W) in [0, 1] alike, and the sharpness of each."""
    exponent = float(2 ** rng.uniform(-CONTRAST, CONTRAST))
    weights = np.eye(len(image))
    if rng.random() < MIXED:
        weights += rng.uniform(-MIXTURE, MIXTURE, weights.shape)
    weights /= weights.sum(axis=1, keepdims=True).clip(LEAST_LIGHT)
    mixing = torch.from_numpy(weights.astype(np.float32))
    first, second = (
        sharpened(
            torch.einsum("cb,bhw->chw", mixing, each**exponent).clamp(0, 1),
            float(rng.uniform(-SHARPNESS, SHARPNESS)),
        ).clamp(0, 1)
        for each in (image, other)
    )
    return first, second


def randomized_size(rng: np.random.Generator, images: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Show images (C, H, W) of one grid larger or smaller, as often as not as they are; shapes stay.

    What is larger is cut off, what is smaller is continued by its mirror image.
    """
    if rng.random() >= RESIZED:
        return images
    rows, cols = images[0].shape[-2:]
    zoom = float(2 ** rng.uniform(-ZOOM, ZOOM))
    shape = round(rows * zoom), round(cols * zoom)
    top, left = (
        int(rng.integers(max(new - old, 0) + 1))
        for new, old in zip(shape, (rows, cols), strict=True)
    )
    lacking = max(rows - shape[0], 0), max(cols - shape[1], 0)

    def resized(image: Tensor) -> Tensor:
        sized = F.interpolate(image[None], size=shape, mode="bicubic", antialias=True).clamp(0, 1)
        whole = F.pad(sized, (0, lacking[1], 0, lacking[0]), mode="reflect")
        return whole[0, :, top : top + rows, left : left + cols]

    return tuple(resized(image) for image in images)


def sharpened(image: Tensor, amount: float) -> Tensor:
    """Add a multiple of the finest detail to an image (C, H, W): what a binomial blur of 3 x 3 pixels takes away."""
    weights = torch.tensor([0.25, 0.5, 0.25])
    wide = F.pad(image[:, None], (1, 1, 1, 1), mode="replicate")
    blurred = F.conv2d(wide, torch.outer(weights, weights)[None, None])[:, 0]
    return image + amount * (image - blurred)
