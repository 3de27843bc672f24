"""Which pixels a chain of layers reads: how the halo of a network follows from its architecture."""

from __future__ import annotations

from typing import NamedTuple


class Span(NamedTuple):
    """Neighbouring pixels along one side, both ends included, on the grid of the layer at hand."""

    first: int
    last: int

    def read(self, *, kernel: int = 3, stride: int = 1, padding: int | None = None) -> Span:
        """What a convolution reads to make these pixels; padding is half the kernel unless said."""
        before = kernel // 2 if padding is None else padding
        return Span(self.first * stride - before, self.last * stride - before + kernel - 1)

    def before_shuffle(self, by: int = 2) -> Span:
        """The coarse pixels that these are enlarged from, by repetition or a pixel shuffle."""
        return Span(self.first // by, self.last // by)

    def before_unshuffle(self, by: int = 2) -> Span:
        """The fine pixels that these are folded from."""
        return Span(self.first * by, self.last * by + by - 1)

    def around(self, other: Span) -> Span:
        """The pixels of both and what lies between."""
        return Span(min(self.first, other.first), max(self.last, other.last))

    def beyond(self, block: int) -> int:
        """How far it reaches out of the block from pixel 0 to ``block`` - 1."""
        return max(-self.first, self.last - (block - 1), 0)
