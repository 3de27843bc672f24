"""Which images and scales a backbone takes, and the sentence for those that it does not."""

from __future__ import annotations

import math

from torch import Tensor

from ultrares.errors import ModelError
from ultrares.types import Backbone, SizeRule


def whole_blocks(block: int, scales: tuple[int, ...]) -> SizeRule:
    """The sides of images whose results, at each of the scales, are whole blocks of pixels."""
    multiple = math.lcm(*(block // math.gcd(block, scale) for scale in scales))
    return SizeRule(minimum=multiple, multiple_of=multiple)


def refuse_misfit(backbone: Backbone, image: Tensor, scale: int) -> None:
    """Refuse what the backbone's network was not made for.

    Raises:
        ModelError: The scale is not one of the backbone's, or the sides are not its multiples.
    """
    if scale not in backbone.scales:
        known = ", ".join(f"x{each}" for each in backbone.scales)
        raise ModelError(
            f"backbone {backbone.name!r} enlarges by {known} and not by x{scale}; compose its steps in a "
            "cascade, or train it for this scale"
        )
    height, width = image.shape[-2:]
    rule = backbone.size_rule
    if not rule.accepts(height, width):
        raise ModelError(
            f"backbone {backbone.name!r} takes sides that are multiples of {rule.multiple_of}, not "
            f"{height} x {width} pixels: pad the image, or let ultrares.load do it"
        )
