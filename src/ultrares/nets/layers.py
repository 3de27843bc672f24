"""Layers that the modules of CSP-WaveDiffUR share: separable convolution, window attention, dilation."""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from ultrares.nets.wavelet_residual import silence


class Separable(nn.Sequential):
    """A depth-wise 3x3 convolution followed by a point-wise one (Chollet, 2017)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(
            nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs), nn.Conv2d(inputs, outputs, 1)
        )


class ChannelNorm(nn.Module):
    """Layer normalisation over the channels of each pixel, so that no pixel's result depends on others."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)

    def forward(self, features: Tensor) -> Tensor:
        """Normalise ``features`` (B, width, h, w)."""
        normalised: Tensor = self.norm(features.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return normalised


class WindowCrossAttention(nn.Module):
    """Attention from one feature map to another inside windows that stand on the absolute grid.

    softmax(Q K^T / sqrt(d) + position) V, which is Eq. 18 with its parenthesis where it belongs.

    Args:
        width: Channels of both maps.
        heads: Attention heads; divides ``width``.
        window: Side of a window in pixels. Maps must have sides that are multiples of it, and origins too
            if results are to agree between cut-outs.
    """

    def __init__(self, width: int, *, heads: int, window: int) -> None:
        super().__init__()
        assert width % heads == 0, f"{heads} heads do not divide {width} channels"
        self.heads, self.window = heads, window
        self.query_norm, self.source_norm = ChannelNorm(width), ChannelNorm(width)
        self.query = nn.Conv2d(width, width, 1)
        self.key_value = nn.Conv2d(width, 2 * width, 1)
        self.out = nn.Conv2d(width, width, 1)
        self.position = nn.Parameter(torch.zeros(heads, (2 * window - 1) ** 2))
        places = torch.stack(
            torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij"), dim=-1
        ).view(-1, 2)
        offsets = places[:, None] - places[None] + window - 1
        self.offsets: Tensor
        self.register_buffer(
            "offsets", offsets[..., 0] * (2 * window - 1) + offsets[..., 1], persistent=False
        )
        silence(self.out)

    @property
    def reach(self) -> int:
        """Pixels around a pixel that its result can depend on."""
        return self.window - 1

    def forward(self, features: Tensor, source: Tensor) -> Tensor:
        """What ``features`` (B, width, h, w) gather from ``source`` (B, width, h, w)."""
        side = self.window
        rows, cols = features.shape[-2] // side, features.shape[-1] // side

        def tokens(maps: Tensor) -> Tensor:
            return rearrange(
                maps,
                "b (heads d) (rows y) (cols x) -> (b rows cols) heads (y x) d",
                heads=self.heads,
                y=side,
                x=side,
            )

        key, value = self.key_value(self.source_norm(source)).chunk(2, dim=1)
        query = tokens(self.query(self.query_norm(features)))
        bias = self.position[:, self.offsets].to(query.dtype)
        mixed = F.scaled_dot_product_attention(query, tokens(key), tokens(value), attn_mask=bias)
        gathered: Tensor = self.out(
            rearrange(
                mixed,
                "(b rows cols) heads (y x) d -> b (heads d) (rows y) (cols x)",
                rows=rows,
                cols=cols,
                y=side,
                x=side,
            )
        )
        return gathered


class ProgressiveDilation(nn.Module):
    """A residual block of five 3x3 convolutions whose dilation grows and shrinks: 1, 2, 3, 2, 1.

    The first and the last see the neighbourhood, those between them widen the view (paper, 3.2.1).
    """

    DILATIONS = (1, 2, 3, 2, 1)
    REACH = sum(DILATIONS)

    def __init__(self, width: int) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation)
            for dilation in self.DILATIONS
        )
        last = self.convolutions[-1]
        assert isinstance(last, nn.Conv2d)
        silence(last)
        nn.init.normal_(last.weight, std=1e-3)

    def forward(self, features: Tensor) -> Tensor:
        """Refine ``features`` (B, width, h, w)."""
        hidden = features
        for index, convolution in enumerate(self.convolutions):
            hidden = convolution(F.leaky_relu(hidden, 0.1) if index else hidden)
        return features + hidden
