"""The network of EDiffSR: activation-free blocks, told the time, and a prior enhanced by channel attention.

Xiao et al. 2023, arXiv 2310.19288; blocks after NAFNet (Chen et al. 2022).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ultrares.nets.embedding import embedding_of_scale, sinusoidal
from ultrares.nets.layers import ChannelNorm
from ultrares.nets.span import Span


def gate(features: Tensor) -> Tensor:
    """One half of the channels times the other, instead of an activation."""
    first, second = features.chunk(2, dim=1)
    return first * second


def channel_mean(features: Tensor, *, local: bool) -> Tensor:
    """What a channel attention looks at: the mean of the image, or the pixel itself."""
    return features if local else features.mean(dim=(-2, -1), keepdim=True)


class NAFBlock(nn.Module):
    """Depth-wise convolution with channel attention, then a feed-forward layer, both gated.

    Args:
        width: Channels.
        embedding: Numbers in the embedded time, which scales and shifts both halves.
        local: Whether the attention looks at each pixel instead of the mean of the image.
    """

    def __init__(self, width: int, embedding: int, *, local: bool) -> None:
        super().__init__()
        self.local = local
        self.time = nn.Linear(embedding // 2, 4 * width)
        self.norm, self.second_norm = ChannelNorm(width), ChannelNorm(width)
        self.expand = nn.Conv2d(width, 2 * width, 1)
        self.depthwise = nn.Conv2d(2 * width, 2 * width, 3, padding=1, groups=2 * width)
        self.attention = nn.Conv2d(width, width, 1)
        self.project = nn.Conv2d(width, width, 1)
        self.second_expand = nn.Conv2d(width, 2 * width, 1)
        self.second_project = nn.Conv2d(width, width, 1)
        self.beta = nn.Parameter(torch.zeros(1, width, 1, 1))
        self.gamma = nn.Parameter(torch.zeros(1, width, 1, 1))

    def forward(self, features: Tensor, embedding: Tensor) -> Tensor:
        """Refine ``features`` (B, width, h, w) at the time of ``embedding`` (B, E)."""
        told = self.time(gate(embedding))[:, :, None, None]
        shift, scale, second_shift, second_scale = told.chunk(4, dim=1)
        hidden = self.norm(features) * (1 + scale) + shift
        hidden = gate(self.depthwise(self.expand(hidden)))
        hidden = hidden * self.attention(channel_mean(hidden, local=self.local))
        features = features + self.beta * self.project(hidden)
        hidden = self.second_norm(features) * (1 + second_scale) + second_shift
        refined: Tensor = features + self.gamma * self.second_project(
            gate(self.second_expand(hidden))
        )
        return refined


class ChannelAttentionBlock(nn.Module):
    """Two convolutions whose channels are weighed by what the image shows (Zhang et al. 2018)."""

    def __init__(self, width: int, *, local: bool, reduction: int = 16) -> None:
        super().__init__()
        self.local = local
        narrow = max(1, width // reduction)
        self.convolutions = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
        )
        self.weigh = nn.Sequential(
            nn.Conv2d(width, narrow, 1), nn.ReLU(), nn.Conv2d(narrow, width, 1), nn.Sigmoid()
        )

    def forward(self, features: Tensor) -> Tensor:
        """Refine ``features`` (B, width, h, w)."""
        hidden = self.convolutions(features)
        refined: Tensor = features + hidden * self.weigh(channel_mean(hidden, local=self.local))
        return refined


class ConditionalNAF(nn.Module):
    """A U of NAF blocks over the noisy residual and the mean that the process reverts to.

    Args:
        bands: Bands of the image.
        width: Channels at full resolution; they double with each halving.
        down: Blocks at each resolution on the way down.
        middle: Blocks at the coarsest resolution.
        up: Blocks at each resolution on the way up, coarsest first.
        local: Whether channel attention looks at each pixel instead of the whole image.
        scales: How many scales the network is told apart.
        fold: Side of the squares of pixels that are folded into channels first; the papers fold none.
    """

    def __init__(
        self,
        *,
        bands: int = 3,
        width: int = 64,
        down: Sequence[int] = (14, 1, 1, 1),
        middle: int = 1,
        up: Sequence[int] = (1, 1, 1, 1),
        local: bool = False,
        scales: int = 1,
        fold: int = 1,
    ) -> None:
        super().__init__()
        assert len(down) == len(up), "as many resolutions up as down"
        self.width, self.local = width, local
        self.blocks = (tuple(down), middle, tuple(up))
        self.fold, self.multiple_of = fold, fold * 2 ** len(down)
        inner = 4 * width
        self.embed_in = nn.Linear(width, 2 * inner)
        self.embed_out = nn.Linear(inner, inner)
        self.scale = embedding_of_scale(inner, scales=scales)

        def run(count: int, channels: int) -> nn.ModuleList:
            return nn.ModuleList(NAFBlock(channels, inner, local=local) for _ in range(count))

        self.stem = nn.Conv2d(2 * bands * fold**2, width, 3, padding=1)
        self.enhance = ChannelAttentionBlock(width, local=local)
        widths = [width * 2**level for level in range(len(down))]
        self.down = nn.ModuleList(run(n, w) for n, w in zip(down, widths, strict=True))
        self.shrink = nn.ModuleList(nn.Conv2d(w, 2 * w, 2, stride=2) for w in widths)
        self.middle = run(middle, 2 * widths[-1])
        self.grow = nn.ModuleList(nn.Conv2d(2 * w, 4 * w, 1, bias=False) for w in widths[::-1])
        self.up = nn.ModuleList(run(n, w) for n, w in zip(up, widths[::-1], strict=True))
        self.head = nn.Conv2d(width, bands * fold**2, 3, padding=1)

    def reads(self, span: Span) -> Span:
        """The input pixels that the output pixels of ``span`` depend on, in a local network."""
        down, middle, up = self.blocks
        span = span.before_shuffle(self.fold).read()
        for count in reversed(up):
            span = span.read(kernel=2 * count + 1).before_shuffle()
        span = span.read(kernel=2 * middle + 1)
        for count in reversed(down):
            span = span.before_unshuffle().read(kernel=2 * count + 1)
        return span.read(kernel=7).before_unshuffle(self.fold)

    def forward(self, residual: Tensor, mean: Tensor, time: Tensor, scale: int) -> Tensor:
        """Predict the noise, or what else it was trained to say, of the shape of ``residual``.

        Args:
            residual: The state minus the mean, (B, bands, h, w); sides are multiples of ``multiple_of``.
            mean: What the process reverts to, of the same shape.
            time: The time on the process's clock, (B,).
            scale: What the mean was enlarged by.
        """
        embedding = self.embed_out(gate(self.embed_in(sinusoidal(time, self.width))))
        if self.scale is not None:
            embedding = self.scale(embedding, scale)
        folded = F.pixel_unshuffle(torch.cat([residual, mean], dim=1), self.fold)
        features = self.enhance(self.stem(folded))
        skips = []
        for blocks, shrink in zip(self.down, self.shrink, strict=True):
            for block in blocks:  # type: ignore[attr-defined]
                features = block(features, embedding)
            skips.append(features)
            features = shrink(features)
        for block in self.middle:
            features = block(features, embedding)
        for blocks, grow in zip(self.up, self.grow, strict=True):
            features = F.pixel_shuffle(grow(features), 2) + skips.pop()
            for block in blocks:  # type: ignore[attr-defined]
                features = block(features, embedding)
        predicted: Tensor = self.head(features)
        return F.pixel_shuffle(predicted, self.fold)
