"""Show an image of any size to a network that accepts only some sizes."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ultrares.types import SizeRule


def fitted(image: Tensor, rule: SizeRule, scale: int, call: Callable[[Tensor], Tensor]) -> Tensor:
    """Apply ``call`` to an image that is mirrored at its lower and right edges until the rule accepts it.

    Args:
        image: Shape (B, C, h, w).
        rule: Sides that ``call`` accepts.
        scale: Output pixels per input pixel of ``call``.
        call: Maps (B, C, h', w') to (B, C, scale * h', scale * w').

    Returns:
        Shape (B, C, scale * h, scale * w).
    """
    height, width = image.shape[-2:]
    if rule.accepts(height, width):
        return call(image)
    for axis, side in ((-2, height), (-1, width)):
        image = image.index_select(axis, _mirrored(side, rule.enough(side)).to(image.device))
    return call(image)[..., : scale * height, : scale * width]


def _mirrored(side: int, length: int) -> Tensor:
    """Places of an axis of ``side`` pixels, continued to ``length`` with its edge pixel repeated."""
    phase = torch.arange(length) % (2 * side)
    return torch.minimum(phase, 2 * side - 1 - phase)
