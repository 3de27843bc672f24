"""The U-Net of IR-SDE: residual blocks without normalisation and linear attention (Luo et al. 2023)."""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from ultrares.nets.embedding import embedding_of_scale, sinusoidal
from ultrares.nets.layers import ChannelNorm
from ultrares.nets.span import Span

HEADS, HEAD_WIDTH = 4, 32


class TimeBlock(nn.Module):
    """A residual block whose hidden channels are scaled and shifted by the time."""

    def __init__(self, inputs: int, outputs: int, embedding: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.time = nn.Linear(embedding, 2 * outputs)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.skip = (
            nn.Conv2d(inputs, outputs, 1, bias=False) if inputs != outputs else nn.Identity()
        )

    def forward(self, features: Tensor, embedding: Tensor) -> Tensor:
        """Refine ``features`` (B, inputs, h, w) at the time of ``embedding`` (B, E)."""
        scale, shift = self.time(F.silu(embedding))[:, :, None, None].chunk(2, dim=1)
        hidden = F.silu(self.first(features) * (1 + scale) + shift)
        refined: Tensor = F.silu(self.second(hidden)) + self.skip(features)
        return refined


class LinearAttention(nn.Module):
    """Attention whose cost grows with the pixels: keys are normalised over the image, queries over channels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        inner = HEADS * HEAD_WIDTH
        self.norm = ChannelNorm(width)
        self.query_key_value = nn.Conv2d(width, 3 * inner, 1, bias=False)
        self.out = nn.Sequential(nn.Conv2d(inner, width, 1), ChannelNorm(width))

    def forward(self, features: Tensor) -> Tensor:
        """Refine ``features`` (B, width, h, w)."""
        height = features.shape[-2]
        query, key, value = rearrange(
            self.query_key_value(self.norm(features)),
            "b (three heads d) y x -> three b heads d (y x)",
            three=3,
            heads=HEADS,
        )
        context = key.softmax(dim=-1) @ value.transpose(-1, -2) / value.shape[-1]
        mixed = context.transpose(-1, -2) @ (query.softmax(dim=-2) * HEAD_WIDTH**-0.5)
        gathered = rearrange(mixed, "b heads d (y x) -> b (heads d) y x", y=height)
        refined: Tensor = features + self.out(gathered)
        return refined


class IRSDEUNet(nn.Module):
    """Conditional U-Net over the noisy residual and the mean that the process reverts to.

    Args:
        bands: Bands of the image.
        width: Channels at full resolution; they double with each of ``depth`` levels.
        depth: Levels; all but the last halve the resolution.
        attention: Whether every level attends to itself, over whole images.
        scales: How many scales the network is told apart.
        fold: Side of the squares of pixels that are folded into channels first; the papers fold none.
    """

    def __init__(
        self,
        *,
        bands: int = 3,
        width: int = 64,
        depth: int = 4,
        attention: bool = True,
        scales: int = 1,
        fold: int = 1,
    ) -> None:
        super().__init__()
        self.width, self.depth, self.local = width, depth, not attention
        self.fold, self.multiple_of = fold, fold * 2 ** (depth - 1)
        inner = 4 * width
        self.embed = nn.Sequential(nn.Linear(width, inner), nn.GELU(), nn.Linear(inner, inner))
        self.scale = embedding_of_scale(inner, scales=scales)

        def attend(channels: int) -> nn.Module:
            return LinearAttention(channels) if attention else nn.Identity()

        def pairs(*sides: tuple[int, int]) -> nn.ModuleList:
            return nn.ModuleList(TimeBlock(*side, inner) for side in sides for _ in range(2))

        self.stem = nn.Conv2d(2 * bands * fold**2, width, 7, padding=3, bias=False)
        widths = [width * 2**level for level in range(depth)]
        self.down = pairs(*((w, w) for w in widths))
        self.down_attention = nn.ModuleList(attend(w) for w in widths)
        self.shrink = nn.ModuleList(
            nn.Conv2d(w, 2 * w, 4, stride=2, padding=1)
            if level < depth - 1
            else nn.Conv2d(w, 2 * w, 3, padding=1, bias=False)
            for level, w in enumerate(widths)
        )
        self.middle = pairs((2 * widths[-1], 2 * widths[-1]))
        self.middle_attention = attend(2 * widths[-1])
        self.up = pairs(*((3 * w, 2 * w) for w in widths))
        self.up_attention = nn.ModuleList(attend(2 * w) for w in widths)
        self.grow = nn.ModuleList(nn.Conv2d(2 * w, w, 3, padding=1) for w in widths)
        self.last = TimeBlock(2 * width, width, inner)
        self.head = nn.Conv2d(width, bands * fold**2, 3, padding=1, bias=False)

    def reads(self, span: Span) -> Span:
        """The input pixels that the output pixels of ``span`` depend on, in a local network."""
        span = span.before_shuffle(self.fold).read().read(kernel=5)
        for level in range(self.depth):
            span = span.read()
            span = (span.before_shuffle() if level else span).read(kernel=9)
        span = span.read(kernel=9).read()
        for level in reversed(range(self.depth)):
            span = span.read(kernel=9)
            span = span.read(kernel=4, stride=2, padding=1) if level else span
        return span.read(kernel=7).before_unshuffle(self.fold)

    def forward(self, residual: Tensor, mean: Tensor, time: Tensor, scale: int) -> Tensor:
        """Predict the noise, or what else it was trained to say, of the shape of ``residual``.

        Args:
            residual: The state minus the mean, (B, bands, h, w); sides are multiples of ``multiple_of``.
            mean: What the process reverts to, of the same shape.
            time: The time on the process's clock, (B,).
            scale: What the mean was enlarged by.
        """
        embedding = self.embed(sinusoidal(time, self.width))
        if self.scale is not None:
            embedding = self.scale(embedding, scale)
        folded = F.pixel_unshuffle(torch.cat([residual, mean], dim=1), self.fold)
        stem = features = self.stem(folded)
        skips = []
        for level in range(self.depth):
            features = self.down[2 * level](features, embedding)
            skips.append(features)
            features = self.down[2 * level + 1](features, embedding)
            features = self.down_attention[level](features)
            skips.append(features)
            features = self.shrink[level](features)
        features = self.middle_attention(self.middle[0](features, embedding))
        features = self.middle[1](features, embedding)
        for level in reversed(range(self.depth)):
            for half in range(2):
                joined = torch.cat([features, skips.pop()], dim=1)
                features = self.up[2 * level + half](joined, embedding)
            features = self.up_attention[level](features)
            if level:
                features = F.interpolate(features, scale_factor=2.0, mode="nearest")
            features = self.grow[level](features)
        predicted: Tensor = self.head(self.last(torch.cat([features, stem], dim=1), embedding))
        return F.pixel_shuffle(predicted, self.fold)
