"""Haar analysis and synthesis on 2 x 2 blocks, and the projector onto their coarse part."""

from __future__ import annotations

import torch
from torch import Tensor

from ultrares.wavelet.bands import Bands


def split(image: Tensor) -> Bands:
    """Split an image into its four orthonormal Haar bands.

    With blocks [a b; c d]: A = (a + b + c + d) / 2, V = (b - a + d - c) / 2,
    H = (c - a + d - b) / 2, D = (a - b - c + d) / 2. Odd sides are first extended by one reflected
    pixel, so the energy of the bands equals that of the image on even sides only.

    Args:
        image: Shape (B, C, H, W), any floating type, any side from 1.

    Returns:
        Bands of shape (B, C, ceil(H / 2), ceil(W / 2)).
    """
    image = _extend(image, 2)
    upper_left, upper_right = image[..., 0::2, 0::2], image[..., 0::2, 1::2]
    lower_left, lower_right = image[..., 1::2, 0::2], image[..., 1::2, 1::2]
    upper_sum, upper_step = upper_left + upper_right, upper_right - upper_left
    lower_sum, lower_step = lower_left + lower_right, lower_right - lower_left
    return Bands(
        approx=(upper_sum + lower_sum) / 2,
        vertical=(upper_step + lower_step) / 2,
        horizontal=(lower_sum - upper_sum) / 2,
        diagonal=(lower_step - upper_step) / 2,
    )


def merge(bands: Bands, shape: tuple[int, int] | None = None) -> Tensor:
    """Put the image back together from its bands: the inverse of :func:`split`.

    Args:
        bands: Four tensors of shape (B, C, h, w).
        shape: Height and width of the image that was split; needed where a side was odd.

    Returns:
        The image, shape (B, C, 2 * h, 2 * w), cropped to ``shape`` if given.
    """
    approx, vertical, horizontal, diagonal = bands
    upper_sum, lower_sum = approx - horizontal, approx + horizontal
    upper_step, lower_step = vertical - diagonal, vertical + diagonal
    upper = torch.stack((upper_sum - upper_step, upper_sum + upper_step), dim=-1)
    lower = torch.stack((lower_sum - lower_step, lower_sum + lower_step), dim=-1)
    rows, cols = 2 * approx.shape[-2], 2 * approx.shape[-1]
    image = (torch.stack((upper, lower), dim=-3) / 2).reshape(*approx.shape[:-2], rows, cols)
    if shape is None:
        return image
    height, width = shape
    assert 0 <= rows - height <= 1, f"{rows} rows cannot come from an image of {height}"
    assert 0 <= cols - width <= 1, f"{cols} columns cannot come from an image of {width}"
    return image[..., :height, :width]


def lowpass(image: Tensor, levels: int = 1) -> Tensor:
    """Project an image onto its Haar low-pass subspace: each block becomes its mean.

    This is the projector P_j: idempotent bit for bit and self-adjoint where both sides are
    divisible by 2^j. Other sides are extended by reflection and cropped again.

    Args:
        image: Shape (B, C, H, W), any floating type.
        levels: j, so that blocks are 2^j pixels wide; 0 returns the image.

    Returns:
        The projection, of the shape of ``image``.
    """
    assert levels >= 0, f"levels must not be negative: {levels}"
    height, width = image.shape[-2:]
    block = 2**levels
    mean = _extend(image, block)
    for _ in range(levels):
        # The mean of two equal numbers is exact, that of 4^j equal ones summed in a row is not.
        mean = (mean[..., 0::2, :] + mean[..., 1::2, :]) / 2
        mean = (mean[..., 0::2] + mean[..., 1::2]) / 2
    rows, cols = mean.shape[-2:]
    spread = mean[..., :, None, :, None].expand(*mean.shape[:-1], block, cols, block)
    repeated = spread.reshape(*mean.shape[:-2], rows * block, cols * block)
    return repeated[..., :height, :width]


def _extend(image: Tensor, multiple: int) -> Tensor:
    """Reflect an image at its lower and right edges until both sides divide by ``multiple``."""
    for axis in (-2, -1):
        side = image.shape[axis]
        target = -(-side // multiple) * multiple
        if target != side:
            image = image.index_select(axis, _reflected(side, target, image.device))
    return image


def _reflected(side: int, target: int, device: torch.device) -> Tensor:
    """Indices 0 .. side-1, side-2 .. 0, 1 .., ``target`` of them; the edge is not repeated."""
    period = max(2 * (side - 1), 1)
    phase = torch.arange(target, device=device) % period
    return torch.minimum(phase, period - phase) if side > 1 else torch.zeros_like(phase)
