"""The plain way to an output grid: average a finer image over each output pixel's area."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ultrares.sensor.areas import shares
from ultrares.types import GridCell


@dataclass(frozen=True)
class AreaAverage:
    """Area-weighted means of the input, which is as fine as the output or finer."""

    halo: int = 0
    margin: int = 0
    multiple_of: int = 1
    core: int = 512
    passes: int = 0

    def products(self, cell: GridCell, integrals: Sequence[Tensor]) -> Tensor:
        """Not asked for: there is no integral."""
        raise NotImplementedError

    def __call__(self, cell: GridCell, integrals: Sequence[Tensor]) -> Tensor:  # noqa: ARG002
        """Return the means; what reaches beyond the image counts for nothing."""
        rows, cols = (
            _means(edges, size).to(cell.image.device)
            for edges, size in zip((cell.rows, cell.cols), cell.image.shape[-2:], strict=True)
        )
        return (rows @ cell.image.double() @ cols.T).float()


def _means(edges: np.ndarray, size: int) -> Tensor:
    weights = shares(edges, 0, size).T
    total = weights.sum(axis=1, keepdims=True)
    # A pixel wholly outside repeats the nearest one.
    nearest = np.clip(np.floor((edges[:-1] + edges[1:]) / 2), 0, size - 1).astype(int)
    outside = total[:, 0] <= 0
    weights[outside, nearest[outside]] = total[outside] = 1.0
    return torch.from_numpy(weights / total)
