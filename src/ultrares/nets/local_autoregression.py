"""Codes of an image drawn one after the other within 4 x 4 blocks, all blocks at once (LAR-SR).

Guo et al., "LAR-SR: a local autoregressive model for image super-resolution", CVPR 2022. Gates and masks
are those of PixelCNN (van den Oord et al., arXiv 1606.05328); the first mask covers the whole block, so
that no earlier code stays out of sight.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

BLOCK = 4
"""Side of a block in codes; they follow each other row by row."""


class CausalConv(nn.Conv2d):
    """A convolution that looks at earlier pixels only, row by row, and at its own if it may."""

    def __init__(self, inputs: int, outputs: int, kernel: int, *, own: bool) -> None:
        super().__init__(inputs, outputs, kernel, padding=kernel // 2)
        earlier = torch.zeros(kernel * kernel)
        earlier[: kernel * kernel // 2 + int(own)] = 1
        self.earlier: Tensor
        self.register_buffer("earlier", earlier.view(kernel, kernel), persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """Convolve ``features`` (B, inputs, h, w)."""
        return F.conv2d(features, self.weight * self.earlier, self.bias, padding=self.padding)


class GatedLayer(nn.Module):
    """tanh of one half times the sigmoid of the other, added to the input; told a condition."""

    def __init__(self, width: int, condition: int) -> None:
        super().__init__()
        self.before = CausalConv(width, 2 * width, 3, own=True)
        self.told = nn.Conv2d(condition, 2 * width, 1)
        self.out = nn.Conv2d(width, width, 1)

    def forward(self, features: Tensor, condition: Tensor) -> Tensor:
        """Refine ``features`` (N, width, 4, 4) of blocks."""
        value, gate = (self.before(features) + self.told(condition)).chunk(2, dim=1)
        refined: Tensor = features + self.out(value.tanh() * gate.sigmoid())
        return refined


class LocalAutoregression(nn.Module):
    """How likely each code is, given the codes before it in its block and what is known of the image.

    Args:
        codes: Number of codes.
        width: Channels.
        layers: Gated layers.
        condition: Channels of what is known.
    """

    def __init__(self, codes: int, *, width: int, layers: int, condition: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(codes, width)
        self.first = CausalConv(width, width, 2 * BLOCK - 1, own=False)
        self.layers = nn.ModuleList(GatedLayer(width, condition) for _ in range(layers))
        self.out = nn.Sequential(nn.ReLU(), nn.Conv2d(width, codes, 1))

    def forward(self, codes: Tensor, condition: Tensor) -> Tensor:
        """Logits (B, K, h, w) of codes (B, h, w), sides multiples of 4, given (B, condition, h, w)."""
        rows = codes.shape[-2] // BLOCK
        cols = codes.shape[-1] // BLOCK
        logits = self._of_blocks(_blocks(codes[:, None])[:, 0], _blocks(condition))
        return rearrange(logits, "(b r c) k y x -> b k (r y) (c x)", r=rows, c=cols)

    def draw(self, condition: Tensor, uniform: Tensor, threshold: float) -> Tensor:
        """Draw the codes of an image in sixteen steps, each of them for all blocks.

        Args:
            condition: What is known, (B, condition, h, w), sides multiples of 4.
            uniform: A number from 0 to 1 for each code, (B, 1, h, w): the same one, the same code.
            threshold: Codes less likely than this are not drawn; the likeliest always may be.

        Returns:
            Integers (B, h, w).
        """
        rows, cols = (side // BLOCK for side in condition.shape[-2:])
        known, chances = _blocks(condition), _blocks(uniform)[:, 0]
        codes = torch.zeros(chances.shape, dtype=torch.long, device=condition.device)
        for row, col in _places():
            logits = self._of_blocks(codes, known)[:, :, row, col]
            codes[:, row, col] = choose(logits.float(), chances[:, row, col], threshold)
        return rearrange(codes, "(b r c) y x -> b (r y) (c x)", r=rows, c=cols)

    def _of_blocks(self, codes: Tensor, condition: Tensor) -> Tensor:
        features = self.first(self.embedding(codes).permute(0, 3, 1, 2))
        for layer in self.layers:
            features = layer(features, condition)
        logits: Tensor = self.out(features)
        return logits


def choose(logits: Tensor, uniform: Tensor, threshold: float) -> Tensor:
    """Invert the cumulative distribution of what is likely enough.

    Args:
        logits: Shape (N, K).
        uniform: Shape (N,), from 0 to 1.
        threshold: Least probability that is kept; the largest one always is.

    Returns:
        Integers below K, (N,).
    """
    shares = logits.softmax(dim=1)
    least = shares.amax(dim=1, keepdim=True).clamp(max=threshold)
    kept = shares * (shares >= least)
    heights = kept.cumsum(dim=1)
    # Relative to the total, so that a number next to 1 still falls on a code that was kept.
    reached = heights > uniform[:, None].clamp(max=1 - 1e-6) * heights[:, -1:]
    return reached.int().argmax(dim=1)


def _blocks(planes: Tensor) -> Tensor:
    """Blocks (B * rows * cols, C, 4, 4) of planes (B, C, h, w)."""
    return rearrange(planes, "b k (r y) (c x) -> (b r c) k y x", y=BLOCK, x=BLOCK)


def _places() -> Iterator[tuple[int, int]]:
    return ((row, col) for row in range(BLOCK) for col in range(BLOCK))
