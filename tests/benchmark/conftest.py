"""Small images in the layout of the catalogue, and a small plan for them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from ultrares.benchmark.plan import Plan
from ultrares.data.pictures import write_png

Image = Callable[[Path, int, int, int], np.ndarray]


def textured(side: int, seed: int, width: int | None = None) -> np.ndarray:
    """An image with detail at all sizes, (3, side, width), unsigned bytes."""
    rng = np.random.default_rng(seed)
    shape = (side, width or side, 3)
    image = sum(
        weight * gaussian_filter(rng.normal(size=shape), sigma=(sigma, sigma, 0)) * sigma
        for sigma, weight in ((1, 30), (4, 90), (12, 180))
    )
    return np.clip(128 + image, 0, 255).round().astype(np.uint8).transpose(2, 0, 1)


@pytest.fixture
def imagery(tmp_path: Path) -> Path:
    """Two scenes, and two sites of NAIP of which one was seen in 2018 too."""
    root = tmp_path / "data"
    for name, seed in (
        ("scenes/a.png", 1),
        ("scenes/b.png", 2),
        ("naip/val/c_2020_1.png", 3),
        ("naip/val/c_2018_1.png", 4),
        ("naip/val/c_2020_2.png", 5),
    ):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        # The catalogue looks for .tif; what a file holds is told by itself.
        write_png(path.with_suffix(".tif"), textured(96, seed, width=112))
    return root


@pytest.fixture
def plan() -> Plan:
    return Plan.model_validate(
        {
            "name": "small",
            "title": "A small plan",
            "mirrors": "nothing",
            "metrics": ["psnr", "sre", "ag"],
            "scales": [2, 4],
            "pictured": [4],
            "data": [{"name": "scenes", "truth": 64}, {"name": "aid", "coarse": 64}],
            "models": [
                {"model": "bicubic", "role": "one-step"},
                {"model": "bicubic"},
                {"model": "absent.pth"},
            ],
        }
    )
