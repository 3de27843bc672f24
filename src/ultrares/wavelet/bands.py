"""The four sub-bands of one wavelet level, as one immutable value."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Bands(NamedTuple):
    """Four sub-bands of an image (B, C, 2h, 2w), each of shape (B, C, h, w).

    Attributes:
        approx: Twice the mean of each 2 x 2 block (LL; ``A`` in the papers).
        vertical: Differences between columns, large at vertical edges (``V``).
        horizontal: Differences between rows, large at horizontal edges (``H``).
        diagonal: Differences along both (``D``).
    """

    approx: Tensor
    vertical: Tensor
    horizontal: Tensor
    diagonal: Tensor

    def stack(self) -> Tensor:
        """One tensor (B, 4 * C, h, w): all channels of A, then those of V, H and D."""
        return torch.cat(self, dim=1)

    @classmethod
    def unstack(cls, stacked: Tensor) -> Bands:
        """The inverse of :meth:`stack`; the bands are views of ``stacked`` (B, 4 * C, h, w)."""
        assert stacked.shape[1] % 4 == 0, f"four bands expected, got {stacked.shape[1]} channels"
        return cls(*stacked.chunk(4, dim=1))
