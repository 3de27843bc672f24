"""The noise that stochastic backbones draw from: fields that belong to places."""

from __future__ import annotations

import torch
from torch import Tensor

from ultrares.diffusion import NoiseField
from ultrares.types import NoiseAt, Origin, Window

FIRST_STEP, FACTOR_SHIFT = 2**28, 20
"""Backbones draw from steps of the noise field above these, so that no solver around them meets their
numbers; the grid's factor is part of the step, or two grids would share numbers at their origin."""


def noise_at(
    image: Tensor, *, seed: int, origin: Origin, level: int = 0, groups: int = 1
) -> NoiseAt:
    """Noise for the image of each draw, and for each of its band groups.

    Args:
        image: Shape (draws * groups, C, h, w): what the backbone sees.
        seed: Seed of the field.
        origin: Absolute position of its first pixel.
        level: Level of the cascade.
        groups: Groups of bands that are shown side by side, draw-major.

    Returns:
        A source of (draws * groups, bands, factor * h, factor * w) on the image's device.
    """
    field, window = NoiseField(seed), Window(*origin, *image.shape[-2:])

    def noise(step: int, bands: int, factor: int) -> Tensor:
        assert 0 <= step < 2**FACTOR_SHIFT, "a step would run into the next factor's"
        fine = window.scaled(factor)
        planes = [
            field.field(
                fine,
                draw=draw,
                level=level,
                step=FIRST_STEP + (factor << FACTOR_SHIFT) + step,
                bands=groups * bands,
            )
            for draw in range(len(image) // groups)
        ]
        return torch.stack(planes).to(image).view(-1, bands, fine.height, fine.width)

    return noise


def fixed_noise(image: Tensor) -> NoiseAt:
    """The field of seed 0 at the origin, the same for each image of a batch (B, C, h, w)."""
    first = noise_at(image[:1], seed=0, origin=Origin(0, 0))
    return lambda step, bands, factor: first(step, bands, factor).expand(len(image), -1, -1, -1)
