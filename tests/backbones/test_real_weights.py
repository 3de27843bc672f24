"""Published weights do what they were published for, plugged in by the product's own door."""

from __future__ import annotations

from pathlib import Path

import pytest
import rasterio
import torch
from torch.nn import functional as F

import ultrares
from tests.backbones.contestants import CONTESTANTS
from tests.shared_data import FOLDER, needs_shared_data
from ultrares.metrics.fidelity import psnr
from ultrares.sensor.models import Bicubic

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@needs_shared_data
@pytest.mark.weights
@pytest.mark.parametrize(
    ("name", "scale", "gain"),
    [
        ("carn-m", 2, 3.0),
        ("carn-m", 6, 0.5),
        ("dat-light-x2", 2, 3.0),
        ("dat-light-x3", 3, 2.0),
        # Of an x4 network alone: x2 by area, from a scene that is finer than it is used to.
        ("dat-light-x4", 2, 1.0),
    ],
)
def test_a_foreign_model_is_better_than_bicubic(
    name: str, scale: int, gain: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wrong band orders, ranges or steps would fit the shapes, but not the picture."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    model = ultrares.load(CONTESTANTS[name].make(tmp_path, False), device="cpu")
    with rasterio.open(FOLDER / "naip/val/chico_2020_4.tif") as raster:
        truth = raster.read([1, 2, 3])[:, :72, :72]
    reduced = Bicubic().degrade(torch.from_numpy(truth)[None].float(), scale).round()
    coarse = reduced.clamp(0, 255).byte()
    cubic = F.interpolate(coarse.float(), scale_factor=scale, mode="bicubic", antialias=True)
    fine = model.upscale(coarse[0].numpy(), scale=scale, sensor="bicubic")
    bicubic = cubic[0].round().clamp(0, 255).byte().numpy()
    assert psnr(fine, truth) > psnr(bicubic, truth) + gain
