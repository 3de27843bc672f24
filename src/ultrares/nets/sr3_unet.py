"""The U-Net of SR3: residual blocks and self-attention, told how much signal is left (Saharia et al. 2021).

Without groups and attention nothing in it looks at a whole image, which is what our small model uses.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ultrares.nets.embedding import embedding_of_scale, sinusoidal
from ultrares.nets.span import Span


def norm_of(width: int, groups: int) -> nn.Module:
    """Group normalisation over the whole image, in as many groups as divide the width; 0 for none."""
    return nn.GroupNorm(math.gcd(groups, width), width) if groups else nn.Identity()


class NoiseLevelBlock(nn.Module):
    """A residual block to whose hidden channels the embedded noise level is added."""

    def __init__(self, inputs: int, outputs: int, *, embedding: int, groups: int) -> None:
        super().__init__()
        self.first_norm, self.second_norm = norm_of(inputs, groups), norm_of(outputs, groups)
        self.first = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.level = nn.Linear(embedding, outputs)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1)
        if not groups:
            # Nothing else keeps a deep stack from growing.
            nn.init.normal_(self.second.weight, std=1e-3)
        self.skip = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, features: Tensor, embedding: Tensor | None) -> Tensor:
        """Refine ``features`` (B, inputs, h, w) at the noise level of ``embedding`` (B, E), if there is noise."""
        hidden = self.first(F.silu(self.first_norm(features)))
        if embedding is not None:
            hidden = hidden + self.level(embedding)[:, :, None, None]
        refined: Tensor = self.second(F.silu(self.second_norm(hidden))) + self.skip(features)
        return refined


class SelfAttention(nn.Module):
    """Every pixel attends to every other, one head."""

    def __init__(self, width: int, groups: int) -> None:
        super().__init__()
        self.norm = norm_of(width, groups)
        self.query_key_value = nn.Conv2d(width, 3 * width, 1, bias=False)
        self.out = nn.Conv2d(width, width, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Refine ``features`` (B, width, h, w)."""
        tokens = self.query_key_value(self.norm(features)).flatten(2).transpose(1, 2)
        mixed = F.scaled_dot_product_attention(*tokens.chunk(3, dim=-1))
        refined: Tensor = features + self.out(mixed.transpose(1, 2).reshape(features.shape))
        return refined


class Stage(nn.Module):
    """A residual block, with attention after it where asked."""

    def __init__(
        self, inputs: int, outputs: int, *, embedding: int, groups: int, attention: bool
    ) -> None:
        super().__init__()
        self.block = NoiseLevelBlock(inputs, outputs, embedding=embedding, groups=groups)
        self.attention = SelfAttention(outputs, groups) if attention else nn.Identity()

    def forward(self, features: Tensor, embedding: Tensor) -> Tensor:
        """Refine ``features`` (B, inputs, h, w)."""
        refined: Tensor = self.attention(self.block(features, embedding))
        return refined


class SR3UNet(nn.Module):
    """Conditional U-Net over the noisy image and the bicubic enlargement, side by side.

    Args:
        bands: Bands of the image.
        width: Channels at full resolution.
        multipliers: Channels at each resolution, in units of ``width``; each halves the one before.
        blocks: Residual blocks at each resolution on the way down; one more on the way up.
        attention: Which resolution attends to itself, besides the coarsest; None for neither.
        groups: Groups of the normalisation, over whole images; 0 for none.
        scales: How many scales the network is told apart.
        fold: Side of the squares of pixels that are folded into channels first; the papers fold none.
    """

    def __init__(
        self,
        *,
        bands: int = 3,
        width: int = 64,
        multipliers: tuple[int, ...] = (1, 2, 4, 8, 8),
        blocks: int = 2,
        attention: int | None = 3,
        groups: int = 32,
        scales: int = 1,
        fold: int = 1,
    ) -> None:
        super().__init__()
        self.width, self.blocks, self.depth = width, blocks, len(multipliers)
        self.fold = fold
        self.local = groups == 0 and attention is None
        self.multiple_of = fold * 2 ** (self.depth - 1)
        self.embed = nn.Sequential(
            nn.Linear(width, 4 * width), nn.SiLU(), nn.Linear(4 * width, width)
        )
        self.scale = embedding_of_scale(width, scales=scales)

        def stage(inputs: int, outputs: int, *, attend: bool) -> Stage:
            return Stage(inputs, outputs, embedding=width, groups=groups, attention=attend)

        widths = [width * multiplier for multiplier in multipliers]
        self.stem = nn.Conv2d(2 * bands * fold**2, width, 3, padding=1)
        self.down, self.shrink = nn.ModuleList(), nn.ModuleList()
        skips, current = [width], width
        for level, outputs in enumerate(widths):
            for _ in range(blocks):
                self.down.append(stage(current, outputs, attend=level == attention))
                current = outputs
                skips.append(current)
            if level < self.depth - 1:
                self.shrink.append(nn.Conv2d(current, current, 3, stride=2, padding=1))
                skips.append(current)
        self.middle = nn.ModuleList(
            stage(current, current, attend=attend) for attend in (attention is not None, False)
        )
        self.up, self.grow = nn.ModuleList(), nn.ModuleList()
        for level, outputs in reversed(list(enumerate(widths))):
            for _ in range(blocks + 1):
                self.up.append(stage(current + skips.pop(), outputs, attend=level == attention))
                current = outputs
            if level:
                self.grow.append(nn.Conv2d(current, current, 3, padding=1))
        self.head_norm = norm_of(current, groups)
        self.head = nn.Conv2d(current, bands * fold**2, 3, padding=1)

    def reads(self, span: Span) -> Span:
        """The input pixels that the output pixels of ``span`` depend on, in a local network."""
        span = span.before_shuffle(self.fold).read()
        for level in range(self.depth):
            span = span.read(kernel=4 * (self.blocks + 1) + 1)
            if level < self.depth - 1:
                span = span.read().before_shuffle()
        span = span.read(kernel=9)
        for level in reversed(range(self.depth)):
            span = span.read(kernel=4 * self.blocks + 1)
            if level:
                span = span.read(stride=2)
        return span.read().before_unshuffle(self.fold)

    def forward(self, noisy: Tensor, condition: Tensor, level: Tensor, scale: int) -> Tensor:
        """Predict the noise, or what else it was trained to say, of the shape of ``noisy``.

        Args:
            noisy: The state, (B, bands, h, w); sides are multiples of ``multiple_of``.
            condition: The bicubic enlargement, centred on zero, of the same shape.
            level: sqrt(alpha-bar), how much signal is left, or a multiple of it, (B,).
            scale: What the condition was enlarged by.
        """
        embedding = self.embed(sinusoidal(level, self.width))
        if self.scale is not None:
            embedding = self.scale(embedding, scale)
        features = self.stem(F.pixel_unshuffle(torch.cat([noisy, condition], dim=1), self.fold))
        skips = [features]
        for index, block in enumerate(self.down):
            features = block(features, embedding)
            skips.append(features)
            if (index + 1) % self.blocks == 0 and index + 1 < len(self.down):
                features = self.shrink[index // self.blocks](features)
                skips.append(features)
        for block in self.middle:
            features = block(features, embedding)
        for index, block in enumerate(self.up):
            features = block(torch.cat([features, skips.pop()], dim=1), embedding)
            if (index + 1) % (self.blocks + 1) == 0 and index + 1 < len(self.up):
                enlarged = F.interpolate(features, scale_factor=2.0, mode="nearest")
                features = self.grow[index // (self.blocks + 1)](enlarged)
        predicted: Tensor = self.head(F.silu(self.head_norm(features)))
        return F.pixel_shuffle(predicted, self.fold)
