"""Small rasters, and levels that are simple enough to be computed in another way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from affine import Affine
from torch import Tensor
from torch.nn import functional as F

from ultrares.types import Cell, Fusion, SizeRule

UTM = Affine(28.5, 0, 301_234.5, 0, -28.5, 9_112_345.25)

ANY_SIZE, EVEN = SizeRule(), SizeRule(minimum=2, multiple_of=2)

Writer = Callable[..., Path]


@dataclass(frozen=True)
class Nearest:
    """Repeats each pixel; needs nothing around it."""

    scale: int = 2
    halo: int = 0
    core: int = 8
    edge: int = 16
    original_margin: int | None = None
    size_rule: SizeRule = ANY_SIZE
    uses_reference: bool = False
    fusion: Fusion | None = None

    def __call__(self, cell: Cell) -> Tensor:
        return cell.image.repeat_interleave(self.scale, -1).repeat_interleave(self.scale, -2)


@dataclass(frozen=True)
class Noisy:
    """A blur of reach 3, enlarged, plus waves that are keyed by place; spoilt where it must not be used."""

    scale: int = 2
    halo: int = 3
    core: int = 16
    edge: int = 16
    original_margin: int | None = None
    size_rule: SizeRule = EVEN
    uses_reference: bool = False
    fusion: Fusion | None = None
    amplitude: float = 0.2
    phase: float = 0.0

    def __call__(self, cell: Cell) -> Tensor:
        fine = self.enlarge(cell.image, cell.origin.row, cell.origin.col)
        edge = self.halo * self.scale
        spoilt = torch.full_like(fine, torch.nan)
        inner = (..., slice(edge, -edge), slice(edge, -edge))
        spoilt[inner] = fine[inner]
        return spoilt

    def enlarge(self, image: Tensor, row: int, col: int) -> Tensor:
        """The same without spoiling, for an image whose first pixel is at (row, col)."""
        side = 2 * self.halo + 1
        blurred = F.avg_pool2d(image, side, 1, self.halo, count_include_pad=False)
        fine = blurred.repeat_interleave(self.scale, -1).repeat_interleave(self.scale, -2)
        rows = torch.arange(fine.shape[-2], dtype=torch.float64) + row * self.scale
        cols = torch.arange(fine.shape[-1], dtype=torch.float64) + col * self.scale
        waves = torch.sin(12.9 * rows[:, None] + 7.7 * cols + rows[:, None] * cols + self.phase)
        return fine + self.amplitude * waves.float()


@dataclass(frozen=True)
class Drawn(Noisy):
    """As many draws side by side as there are phases, each a :class:`Noisy` of its own."""

    phases: tuple[float, ...] = (0.0, 1.0, 2.0)

    def __call__(self, cell: Cell) -> Tensor:
        images = cell.image.expand(len(self.phases), -1, -1, -1)
        draws = [
            replace(self, phase=self.phase + phase).one(replace(cell, image=image[None]))
            for phase, image in zip(self.phases, images, strict=True)
        ]
        return torch.cat(draws)

    def one(self, cell: Cell) -> Tensor:
        """A single draw."""
        return super().__call__(cell)


@dataclass(frozen=True)
class Cubic:
    """Keys' cubic: unlike in a blockwise constant, the neighbours shape a block's inside."""

    scale: int = 2
    halo: int = 4
    core: int = 16
    edge: int = 16
    original_margin: int | None = None
    size_rule: SizeRule = ANY_SIZE
    uses_reference: bool = False
    fusion: Fusion | None = None

    def __call__(self, cell: Cell) -> Tensor:
        return F.interpolate(
            cell.image, scale_factor=self.scale, mode="bicubic", align_corners=False
        )


@pytest.fixture
def raster(tmp_path: Path) -> Writer:
    """Write an array (C, H, W) as a raster and return its path; what ``finish`` does comes last."""

    def write(
        array: np.ndarray,
        name: str = "scene.tif",
        *,
        finish: Callable[[Any], object] | None = None,
        **options: Any,
    ) -> Path:
        path = tmp_path / name
        bands, height, width = array.shape
        options = {"driver": "GTiff", "crs": "EPSG:31985", "transform": UTM} | options
        with rasterio.open(
            path, "w", count=bands, height=height, width=width, dtype=array.dtype, **options
        ) as dataset:
            dataset.write(array)
            if finish is not None:
                finish(dataset)
        return path

    return write


def block_sums(fine: np.ndarray, scale: int) -> np.ndarray:
    """Sums over blocks of (C, scale * h, scale * w), as Python integers where they are integers."""
    bands, height, width = fine.shape
    blocks = fine.reshape(bands, height // scale, scale, width // scale, scale)
    exact = object if fine.dtype.kind in "iu" else np.float64
    return blocks.astype(exact).sum(axis=(2, 4))


def assert_block_means(
    fine: np.ndarray, coarse: np.ndarray, scale: int, valid: np.ndarray | None = None
) -> None:
    """Block means are the coarse pixels: integers exactly, floats to 1e-6 of their range."""
    valid = np.ones(coarse.shape, bool) if valid is None else valid
    sums = block_sums(fine, scale)[valid]
    if coarse.dtype.kind in "iu":
        assert (sums == coarse[valid].astype(object) * scale**2).all()
    else:
        off = np.abs(sums / scale**2 - coarse[valid])
        assert off.max() <= 1e-6 * np.ptp(coarse[valid])
