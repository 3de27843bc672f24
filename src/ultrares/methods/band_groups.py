"""Show any number of bands to a network that was built for a fixed number."""

from __future__ import annotations

from collections.abc import Callable

import torch
from einops import rearrange
from torch import Tensor


def group_indices(bands: int, size: int) -> Tensor:
    """Which band stands at each place of each group; a last, short group repeats its last band.

    Returns:
        Shape (groups, size), integers below ``bands``.
    """
    groups = group_count(bands, size)
    return torch.arange(groups * size).clamp(max=bands - 1).view(groups, size)


def group_count(bands: int, size: int | None) -> int:
    """How many groups of ``size`` bands are shown side by side; one, if any number is taken."""
    return 1 if size is None else -(-bands // size)


def by_groups(image: Tensor, size: int | None, call: Callable[[Tensor], Tensor]) -> Tensor:
    """Apply ``call`` to groups of ``size`` neighbouring bands, side by side as one batch.

    The bands of the first group stay together, so that red, green and blue are seen as they were trained.

    Args:
        image: Shape (B, M * C, h, w): M values for each of C bands, value-major (M is 1 for a plain image).
        size: Bands of a group; None leaves the image as it is.
        call: Maps (B * groups, M * size, h, w) to (B * groups, N * size, h', w'), for any N.

    Returns:
        Shape (B, N * C, h', w').
    """
    return by_band_groups([image], image.shape[1], size, lambda parts: call(parts[0]))


def by_band_groups(
    stacks: list[Tensor], bands: int, size: int | None, call: Callable[[list[Tensor]], Tensor]
) -> Tensor:
    """Apply ``call`` to several stacks at once, each (B, M_i * bands, h, w), grouped by band."""
    if size is None or bands == size:
        return call(stacks)
    index = group_indices(bands, size)
    grouped = [_gather(stack, bands, index) for stack in stacks]
    result = call(grouped)
    values = rearrange(
        result, "(b groups) (n size) h w -> b n (groups size) h w", groups=len(index), size=size
    )
    return rearrange(values[:, :, :bands], "b n bands h w -> b (n bands) h w")


def _gather(stack: Tensor, bands: int, index: Tensor) -> Tensor:
    values = rearrange(stack, "b (m bands) h w -> b m bands h w", bands=bands)
    grouped = values[:, :, index.to(stack.device)]
    return rearrange(grouped, "b m groups size h w -> (b groups) (m size) h w")
