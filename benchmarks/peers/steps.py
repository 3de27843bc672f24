"""How a peer reaches scales that it was not trained for: in steps that it was."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from peers.missing import MissingPeerError

Step = Callable[[Tensor, int], Tensor]
"""One native step: (1, 3, h, w) in [0, 1] and its factor in, the finer image out."""


def factors(scale: int, native: tuple[int, ...]) -> list[int]:
    """Steps of a scale, the largest first; one that is not native is 2, for the caller to make.

    x8 is 4 then 2, x16 is 4 and 4, x32 is 4, 4 and 2.

    Raises:
        MissingPeerError: The scale is no product of the native factors and 2.
    """
    steps = []
    rest = scale
    for factor in sorted({*native, 2}, reverse=True):
        while rest % factor == 0:
            steps.append(factor)
            rest //= factor
    if rest != 1:
        native_steps = ", ".join(f"x{factor}" for factor in native)
        raise MissingPeerError(f"not made for x{scale}, nor for steps to it: has {native_steps}")
    return steps


def enlarge(coarse: np.ndarray, scale: int, step: Step, native: tuple[int, ...]) -> np.ndarray:
    """Unsigned bytes (3, h, w) enlarged in native steps, clipped between them and rounded at the end.

    A net that lacks x2 takes its smallest step and halves the result by area.
    """
    image = torch.from_numpy(np.ascontiguousarray(coarse))[None].float() / 255
    with torch.inference_mode():
        for factor in factors(scale, native):
            used = factor if factor in native else min(native)
            image = step(image, used).clamp(0, 1)
            if used != factor:
                image = F.avg_pool2d(image, used // factor)
    return (image[0] * 255).round().byte().numpy()
