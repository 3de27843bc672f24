"""The network of LWTDM: a Siamese trunk that sees the noisy image and the coarse one with the same weights.

An et al. 2023, "Efficient remote sensing image super-resolution via lightweight diffusion models".
"""

from __future__ import annotations

from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from ultrares.nets.embedding import embedding_of_scale, sinusoidal
from ultrares.nets.span import Span
from ultrares.nets.sr3_unet import NoiseLevelBlock, norm_of

FOLD = 4
"""Pixels of an image per pixel of the trunk's middle, along one side."""

SHARE = 12
"""Channels of the middle per channel of its attention."""


class CrossAttention(nn.Module):
    """The noisy image's features gather from the coarse image's.

    Args:
        width: Channels of both.
        neighbours: Side of the square of coarse pixels that a fine one looks at; None for the whole image.
    """

    def __init__(self, width: int, neighbours: int | None) -> None:
        super().__init__()
        self.neighbours = neighbours
        narrow = max(1, width // SHARE)
        self.query = nn.Conv2d(width, narrow, 1)
        self.key_value = nn.Conv2d(width, 2 * narrow, 1)
        self.out = nn.Conv2d(narrow, width, 3, padding=1)

    def forward(self, fine: Tensor, coarse: Tensor, scale: int) -> Tensor:
        """Refine ``fine`` (B, width, scale * h, scale * w) by ``coarse`` (B, width, h, w)."""
        query, pair = self.query(fine), self.key_value(coarse)
        if self.neighbours is None:
            mixed = self._over_the_image(query, pair)
        else:
            mixed = self._over_neighbours(query, pair, self.neighbours, scale)
        refined: Tensor = fine + self.out(mixed)
        return refined

    @staticmethod
    def _over_the_image(query: Tensor, pair: Tensor) -> Tensor:
        key, value = rearrange(pair, "b (two d) y x -> two b (y x) d", two=2)
        tokens = rearrange(query, "b d y x -> b (y x) d")
        mixed = F.scaled_dot_product_attention(tokens, key, value)
        return rearrange(mixed, "b (y x) d -> b d y x", y=query.shape[-2])

    @staticmethod
    def _over_neighbours(query: Tensor, pair: Tensor, side: int, scale: int) -> Tensor:
        rows = pair.shape[-2]
        near = F.unfold(pair, side, padding=side // 2)
        key, value = rearrange(near, "b (two d n) cell -> two b cell n d", two=2, n=side**2)
        tokens = rearrange(query, "b d (y r) (x s) -> b (y x) (r s) d", r=scale, s=scale)
        mixed = F.scaled_dot_product_attention(tokens, key, value)
        return rearrange(mixed, "b (y x) (r s) d -> b d (y r) (x s)", y=rows, r=scale)


class LWTDMNet(nn.Module):
    """Folds the noisy and the coarse image by pixel-unshuffling, lets them meet, and unfolds.

    Args:
        bands: Bands of the image.
        width: Channels at full resolution; 16 times as many in the middle.
        groups: Groups of the normalisation, over whole images; 0 for none.
        neighbours: What the cross-attention looks at; None for the whole coarse image.
        time_width: Numbers in the embedded time.
        scales: How many scales the network is told apart.
    """

    def __init__(
        self,
        *,
        bands: int = 3,
        width: int = 24,
        groups: int = 8,
        neighbours: int | None = None,
        time_width: int = 32,
        scales: int = 1,
    ) -> None:
        super().__init__()
        self.time_width, self.neighbours = time_width, neighbours
        self.local = groups == 0 and neighbours is not None
        self.multiple_of = FOLD
        self.embed = nn.Sequential(
            nn.Linear(time_width, 4 * time_width),
            nn.SiLU(),
            nn.Linear(4 * time_width, time_width),
        )
        self.scale = embedding_of_scale(time_width, scales=scales)

        def block(channels: int) -> NoiseLevelBlock:
            return NoiseLevelBlock(channels, channels, embedding=time_width, groups=groups)

        self.stem = nn.Conv2d(bands, width, 3, padding=1)
        folds = [width, 4 * width]
        inner = 16 * width
        self.trunk = nn.ModuleList(block(channels) for channels in folds)
        self.meet = nn.ModuleList(nn.Conv2d(w, w, 3, padding=1) for w in folds)
        self.middle = nn.ModuleList(block(inner) for _ in range(2))
        self.attention = nn.ModuleList(CrossAttention(inner, neighbours) for _ in range(2))
        self.up = nn.ModuleList(block(channels) for channels in (inner, inner, *2 * folds[1:]))
        self.head_norm = norm_of(width, groups)
        self.head = nn.Conv2d(width, bands, 3, padding=1)

    def reads(self, span: Span) -> Span:
        """The noisy pixels that the output pixels of ``span`` depend on, in a local network."""
        span = self._reads_folded(span).read(kernel=5)
        for _ in self.trunk:
            span = span.before_unshuffle().read(kernel=5)
        return span.read()

    def reads_coarse(self, span: Span, scale: int) -> Span:
        """The coarse pixels that the output pixels of ``span`` depend on, in a local network."""
        fine = self._reads_folded(span)
        # What the first attention gathers, then what is added in the trunk at each resolution.
        spans = [fine.before_shuffle(scale).read(kernel=self.neighbours or 1).before_unshuffle()]
        fine = fine.read(kernel=5)
        for _ in self.trunk:
            fine = fine.before_unshuffle()
            spans[-1] = spans[-1].around(fine.read().before_shuffle(scale)).read(kernel=5)
            fine = fine.read(kernel=5)
            spans.append(spans[-1].before_unshuffle())
        return spans[-2].read()

    def _reads_folded(self, span: Span) -> Span:
        """Down to the first attention."""
        span = span.read().before_shuffle().read(kernel=9)
        # Two blocks up, the last attention's convolution, its block, the first attention's.
        return span.before_shuffle().read(kernel=9).read().read(kernel=5).read()

    def forward(self, noisy: Tensor, coarse: Tensor, time: Tensor, scale: int) -> Tensor:
        """Predict the noise, or what else it was trained to say, of the shape of ``noisy``.

        Args:
            noisy: The state, (B, bands, scale * h, scale * w).
            coarse: The image to enlarge, centred on zero, (B, bands, h, w); sides are multiples of 4.
            time: The time on the process's clock, (B,).
            scale: Pixels of ``noisy`` per pixel of ``coarse``.
        """
        embedding = self.embed(sinusoidal(time, self.time_width))
        if self.scale is not None:
            embedding = self.scale(embedding, scale)
        fine, seen = self.stem(noisy), self.stem(coarse)
        for block, meet in zip(self.trunk, self.meet, strict=True):
            fine, seen = block(fine, embedding), block(seen, None)
            fine = fine + meet(F.interpolate(seen, scale_factor=float(scale), mode="nearest"))
            fine, seen = F.pixel_unshuffle(fine, 2), F.pixel_unshuffle(seen, 2)
        for block, attention in zip(self.middle, self.attention, strict=True):
            fine = attention(block(fine, embedding), seen, scale)
        for index, block in enumerate(self.up):
            fine = block(fine, embedding)
            if index % 2:
                fine = F.pixel_shuffle(fine, 2)
        predicted: Tensor = self.head(F.silu(self.head_norm(fine)))
        return predicted
