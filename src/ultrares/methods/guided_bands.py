"""Guide bands that no network was trained on by those that one was: pansharpening, window by window.

Where a band follows the trained ones, the detail that the network found in them is found in it, too. How it
follows them is a regression in a small window of the level's own input, as in a guided filter (He, Sun and
Tang, 2013), so a result still depends on its place alone and no pass over the scene is needed. The network's
own result for the band and the detail carried over err differently: their mean beats both
(benchmarks/bands.py, docs/decisions/0012-rasters.md).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

RADIUS = 3
"""Input pixels from the middle of a window to its side."""

REACH = RADIUS + 1
"""Input pixels that a result depends on beyond those that the network does: the window, and the enlargement."""

RIDGE = 0.1
"""Share of the trained bands' mean variance that is added to each, for they are nearly alike."""

NOISE = 1e-6
"""Variance that says nothing, that of rounding to 8 bits: it keeps flat windows from large coefficients."""

MOST = 0.5
"""Largest weight of the carried detail against the network's own, of a band that follows the trained ones."""


def at_most_half(share: Tensor) -> Tensor:
    """The weight of the carried detail for the share of variance that the trained bands explain."""
    return share.clamp(max=MOST)


def guided(
    image: Tensor,
    fine: Tensor,
    trained: int,
    told: Tensor | None = None,
    *,
    weight: Callable[[Tensor], Tensor] = at_most_half,
) -> Tensor:
    """Bring the detail of the trained bands into the others, as far as these follow them.

    Args:
        image: A level's input, (B, C, h, w), in [0, 1].
        fine: What networks made of it band group by band group, (B, C, k * h, k * w).
        trained: The first bands, which were shown to the network as it was trained.
        told: How far a reference is believed, (B or 1, 1, k * h, k * w), in [0, 1]. It may show the other bands
            themselves, so they are guided only where it is not.
        weight: From the share of a band's variance that is explained to the weight of what is carried.

    Returns:
        ``fine`` where there are no other bands; else with the others changed, of the same shape.
    """
    if image.shape[1] <= trained:
        return fine
    scale = fine.shape[-1] // image.shape[-1]
    coefficients, share = follows(image[:, :trained], image[:, trained:])
    # A little sharper than the antialiased kernel that networks add their detail to, and measured to be better.
    plain = F.interpolate(image, scale_factor=scale, mode="bicubic")
    detail = fine[:, :trained] - plain[:, :trained]
    carried = plain[:, trained:]
    for each, of_band in zip(coefficients.unbind(1), detail.unbind(1), strict=True):
        carried = carried + _enlarged(each, scale) * of_band[:, None]
    part = _enlarged(weight(share), scale)
    if told is not None:
        part = part * (1 - told)
    own = fine[:, trained:]
    return torch.cat([fine[:, :trained], own + part * (carried - own)], dim=1)


def follows(known: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
    """Regress bands on known ones in the window around each pixel, cut off at the image's edge.

    Args:
        known: Shape (B, M, h, w).
        others: Shape (B, N, h, w).

    Returns:
        The coefficients, (B, M, N, h, w), and the share of the others' variance that they explain, in [0, 1],
        (B, N, h, w).
    """
    count = known.shape[1]
    bands = torch.cat([known, others], dim=1)
    means = _window_mean(bands)

    def covariances(band: int) -> Tensor:
        products = _window_mean(bands[:, band, None] * bands)
        return (products - means[:, band, None] * means).permute(0, 2, 3, 1)

    rows = torch.stack([covariances(band) for band in range(count)], dim=-2)
    square, cross = rows[..., :count], rows[..., count:]
    variance = _window_mean(others.square()) - means[:, count:].square()
    trace = square.diagonal(dim1=-2, dim2=-1).mean(dim=-1).clamp(min=0)
    ridge = (RIDGE * trace + NOISE)[..., None, None] * torch.eye(count).to(square)
    solved = torch.linalg.solve(square + ridge, cross)
    explained = (solved * (2 * cross - square @ solved)).sum(dim=-2).permute(0, 3, 1, 2)
    share = (explained / (variance.clamp(min=0) + NOISE)).clamp(0, 1)
    return solved.permute(0, 3, 4, 1, 2), share


def _window_mean(image: Tensor) -> Tensor:
    """The mean of the window around each pixel, over those of its pixels that the image has."""
    side, margin = 2 * RADIUS + 1, RADIUS
    rows = F.avg_pool2d(image, (side, 1), 1, (margin, 0), count_include_pad=False)
    return F.avg_pool2d(rows, (1, side), 1, (0, margin), count_include_pad=False)


def _enlarged(image: Tensor, scale: int) -> Tensor:
    return F.interpolate(image, scale_factor=scale, mode="bilinear")
