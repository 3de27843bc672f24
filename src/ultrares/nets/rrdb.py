"""The generator of ESRGAN: dense blocks in residual blocks in residual blocks (Wang et al. 2018)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ultrares.nets.octaves import octaves
from ultrares.nets.span import Span
from ultrares.nets.wavelet_residual import silence

SLOPE, BRANCH = 0.2, 0.2
"""Slope of the leaky ReLUs below zero, and the share of a branch that is added to its input."""


class DenseBlock(nn.Module):
    """Five 3x3 convolutions, each of which sees the results of all before it."""

    REACH = 5

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        inputs = [width + index * growth for index in range(self.REACH)]
        outputs = [growth] * (self.REACH - 1) + [width]
        self.convolutions = nn.ModuleList(
            nn.Conv2d(before, after, 3, padding=1)
            for before, after in zip(inputs, outputs, strict=True)
        )
        for convolution in self.convolutions:
            assert isinstance(convolution, nn.Conv2d)
            # A tenth of the usual start, as in the paper: deep sums would grow otherwise.
            nn.init.kaiming_normal_(convolution.weight, a=SLOPE)
            convolution.weight.data.mul_(0.1)
            assert convolution.bias is not None
            nn.init.zeros_(convolution.bias)

    def forward(self, features: Tensor) -> Tensor:
        """Refine ``features`` (B, width, h, w)."""
        known = [features]
        for convolution in self.convolutions[:-1]:
            known.append(F.leaky_relu(convolution(torch.cat(known, dim=1)), SLOPE))
        refined: Tensor = features + BRANCH * self.convolutions[-1](torch.cat(known, dim=1))
        return refined


class ResidualInResidual(nn.Module):
    """Three dense blocks around which a shortcut leads."""

    REACH = 3 * DenseBlock.REACH

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(DenseBlock(width, growth) for _ in range(3)))

    def forward(self, features: Tensor) -> Tensor:
        """Refine ``features`` (B, width, h, w)."""
        refined: Tensor = features + BRANCH * self.blocks(features)
        return refined


class NearestTail(nn.Module):
    """Enlarges features by repeating pixels, a convolution an octave, and makes them bands."""

    def __init__(self, width: int, bands: int, scale: int) -> None:
        super().__init__()
        self.ups = nn.ModuleList(
            nn.Conv2d(width, width, 3, padding=1) for _ in range(octaves(scale))
        )
        self.fine = nn.Conv2d(width, width, 3, padding=1)
        self.last = nn.Conv2d(width, bands, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        """Bands (B, C, scale * h, scale * w) of ``features`` (B, width, h, w)."""
        for up in self.ups:
            features = F.leaky_relu(up(F.interpolate(features, scale_factor=2.0)), SLOPE)
        image: Tensor = self.last(F.leaky_relu(self.fine(features), SLOPE))
        return image

    def reads(self, fine: Span) -> Span:
        """The coarse features that fine pixels depend on."""
        span = fine.read().read()
        for _ in self.ups:
            span = span.read().before_shuffle()
        return span


class RRDBNet(nn.Module):
    """Stem, trunk and tail; scales share the trunk and have a stem and a tail of their own.

    Args:
        scales: Powers of two.
        bands: Bands of the image.
        width: Channels of the trunk.
        growth: Channels that each convolution of a dense block adds.
        blocks: Number of residual-in-residual blocks.
        residual: Whether the result is what an enlargement lacks, and so starts close to zero.
    """

    def __init__(
        self,
        *,
        scales: tuple[int, ...] = (4,),
        bands: int = 3,
        width: int = 64,
        growth: int = 32,
        blocks: int = 23,
        residual: bool = False,
    ) -> None:
        super().__init__()
        self.stems = nn.ModuleDict({f"x{s}": nn.Conv2d(bands, width, 3, padding=1) for s in scales})
        self.trunk = nn.Sequential(*(ResidualInResidual(width, growth) for _ in range(blocks)))
        self.body = nn.Conv2d(width, width, 3, padding=1)
        self.tails = nn.ModuleDict({f"x{s}": NearestTail(width, bands, s) for s in scales})
        if residual:
            for tail in self.tails.values():
                assert isinstance(tail, NearestTail)
                silence(tail.last)
                nn.init.normal_(tail.last.weight, std=1e-3)
        self.trunk_reach = ResidualInResidual.REACH * blocks + 2

    def reads(self, fine: Span, scale: int) -> Span:
        """The pixels of the image that fine pixels depend on."""
        tail = self.tails[f"x{scale}"]
        assert isinstance(tail, NearestTail)
        return tail.reads(fine).read(kernel=2 * self.trunk_reach + 1)

    def reach(self, scale: int) -> int:
        """Pixels of the image around one that what becomes of it depends on."""
        return self.reads(Span(0, scale - 1), scale).beyond(1)

    def forward(self, image: Tensor, scale: int) -> Tensor:
        """The image (B, C, h, w), or what its enlargement lacks, ``scale`` times finer."""
        features = self.stems[f"x{scale}"](image - 0.5)
        features = features + self.body(self.trunk(features))
        fine: Tensor = self.tails[f"x{scale}"](features)
        return fine
