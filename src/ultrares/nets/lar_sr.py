"""LAR-SR: a super-resolver, codes of what it leaves out, and the local order that they are drawn in.

Guo et al., CVPR 2022 (the WaveDiffUR papers' "LSR-SR"). Three parts, each of which stands on the one
before without changing it: SR; a VQ-VAE of what the truth has beyond SR; an autoregression of its codes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ultrares.nets.local_autoregression import BLOCK, LocalAutoregression
from ultrares.nets.rrdb import RRDBNet
from ultrares.nets.span import Span
from ultrares.nets.vector_quantiser import VectorQuantiser
from ultrares.nets.wavelet_residual import ResidualBlock, silence

STRIDE = 2
"""Pixels of the result per code, along one side."""

RESIDUAL = 0.05
"""What a super-resolved image of [0, 1] is off by, roughly; the encoder sees the residual in this unit."""


class Halving(nn.Module):
    """A strided convolution and residual blocks: features at the resolution of the codes."""

    def __init__(self, inputs: int, width: int, blocks: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(inputs, width, 4, stride=STRIDE, padding=1)
        self.blocks = nn.Sequential(*(ResidualBlock(width) for _ in range(blocks)))

    def forward(self, image: Tensor) -> Tensor:
        """Features (B, width, H / 2, W / 2) of an image (B, inputs, H, W)."""
        features: Tensor = self.blocks(self.stem(image))
        return features

    def reads(self, span: Span) -> Span:
        """The pixels that some features depend on."""
        return span.read(kernel=1 + 4 * len(self.blocks)).read(kernel=4, stride=STRIDE, padding=1)


class CodeDecoder(nn.Module):
    """What the codes add to the super-resolved image."""

    def __init__(self, inputs: int, width: int, blocks: int, bands: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(inputs, width, 3, padding=1)
        self.blocks = nn.Sequential(*(ResidualBlock(width) for _ in range(blocks)))
        self.head = nn.Conv2d(width, bands * STRIDE**2, 3, padding=1)
        silence(self.head)
        nn.init.normal_(self.head.weight, std=1e-3)

    def forward(self, features: Tensor) -> Tensor:
        """Bands (B, C, 2 * h, 2 * w) of ``features`` (B, inputs, h, w)."""
        return F.pixel_shuffle(self.head(self.blocks(self.stem(features))), STRIDE)

    def reads(self, span: Span) -> Span:
        """The features that some pixels depend on."""
        return span.before_shuffle(STRIDE).read(kernel=5 + 4 * len(self.blocks))


@dataclass(frozen=True)
class CodedParts:
    """What the parts make of a truth in training.

    Attributes:
        decoded: The truth by its codes, (B, C, H, W).
        codes: Their numbers, (B, H / 2, W / 2).
        logits: How likely the autoregression held each, (B, K, H / 2, W / 2).
        commitment: The codebook's loss, 0-d.
        imbalance: How unevenly the codes are used, 0-d.
    """

    decoded: Tensor
    codes: Tensor
    logits: Tensor
    commitment: Tensor
    imbalance: Tensor


class LARSRNet(nn.Module):
    """The three parts.

    Args:
        sr: The super-resolver; what it returns is added to the bicubic enlargement.
        bands: Bands of the image.
        width: Channels of the VQ-VAE.
        embedded: Components of a code's vector.
        codes: Number of codes.
        blocks: Residual blocks of each of the VQ-VAE's three parts.
        order: Channels and gated layers of the autoregression.
    """

    def __init__(
        self,
        sr: RRDBNet,
        *,
        bands: int,
        width: int,
        embedded: int,
        codes: int,
        blocks: int,
        order: tuple[int, int],
    ) -> None:
        super().__init__()
        self.sr = sr
        self.known = Halving(bands, width, blocks)
        self.encoder = Halving(2 * bands, width, blocks)
        self.vector = nn.Conv2d(width, embedded, 1)
        self.quantiser = VectorQuantiser(codes, embedded)
        self.decoder = CodeDecoder(width + embedded, width, blocks, bands)
        self.order = LocalAutoregression(codes, width=order[0], layers=order[1], condition=width)

    def super_resolve(self, image: Tensor, scale: int) -> Tensor:
        """The frozen super-resolver's image (B, C, scale * h, scale * w)."""
        enlarged = F.interpolate(image, scale_factor=scale, mode="bicubic", antialias=True)
        fine: Tensor = enlarged + self.sr(image, scale).to(image.dtype)
        return fine

    def code(self, fine: Tensor, truth: Tensor) -> CodedParts:
        """Code a truth (B, C, H, W), sides multiples of 8, given its super-resolved image.

        No gradient reaches the super-resolver, nor the VQ-VAE from the autoregression.
        """
        fine = fine.detach()
        known = self.known(fine - 0.5)
        hidden = self.encoder(torch.cat([(truth - fine) / RESIDUAL, fine - 0.5], dim=1))
        # Of one length, or all shrink towards a single code before the decoder knows their use.
        exact = _normalised(self.vector(hidden))
        vectors, codes, commitment = self.quantiser(exact)
        decoded = self.decode(fine, known, vectors)
        logits = self.order(codes, known.detach())
        return CodedParts(decoded, codes, logits, commitment, self.quantiser.imbalance(exact))

    def draw(self, fine: Tensor, uniform: Tensor, threshold: float) -> Tensor:
        """A draw around a super-resolved image (B, C, H, W), sides multiples of 8.

        Args:
            fine: What the super-resolver made.
            uniform: A number from 0 to 1 for each code, (B, 1, H / 2, W / 2).
            threshold: Codes less likely than this are not drawn.
        """
        known = self.known(fine - 0.5)
        codes = self.order.draw(known, uniform, threshold)
        return self.decode(fine, known, self.quantiser.look_up(codes))

    def decode(self, fine: Tensor, known: Tensor, vectors: Tensor) -> Tensor:
        """The image of the codes' vectors (B, embedded, H / 2, W / 2)."""
        detail: Tensor = self.decoder(torch.cat([known, vectors.to(known)], dim=1))
        return fine + detail.to(fine.dtype)

    def reach(self, scale: int) -> int:
        """Pixels of the image around a block of codes that its pixels depend on."""
        side = STRIDE * BLOCK
        codes = self.decoder.reads(Span(0, side - 1))
        # Each code depends on all before it in its block, and on what is known there.
        blocks = Span(codes.first // BLOCK * BLOCK, codes.last // BLOCK * BLOCK + BLOCK - 1)
        beyond = self.known.reads(blocks).beyond(side)
        return -(-beyond // scale) + self.sr.reach(scale)


def _normalised(vectors: Tensor) -> Tensor:
    """Vectors (B, E, h, w) with mean 0 and variance 1 over their components."""
    last = vectors.permute(0, 2, 3, 1).float()
    return F.layer_norm(last, last.shape[-1:]).permute(0, 3, 1, 2)
