from __future__ import annotations

import torch
from torch.nn import functional as F

from ultrares.backbones.bicubic import BicubicBackbone
from ultrares.methods.cascade import cascade
from ultrares.methods.one_step import OneStep
from ultrares.methods.place import Solve
from ultrares.methods.wavediffur import WaveDiffUR
from ultrares.sensor.models import Box
from ultrares.types import Cell, Origin


def test_one_step_of_bicubic_is_two_enlargements_held_to_the_scene() -> None:
    image = torch.rand(1, 3, 16, 32)
    (level,) = cascade([WaveDiffUR(BicubicBackbone())], 2, Solve(), Box())
    fine = OneStep(level, 8)(Cell(image, Origin(0, 0), image, Origin(0, 0), 1))
    half = F.interpolate(image, scale_factor=4, mode="bicubic", antialias=True)
    expected = BicubicBackbone()(half, scale=2)
    assert fine.shape == (1, 3, 128, 256)
    inner = (..., slice(32, -32), slice(32, -32))
    assert (fine - expected)[inner].abs().max() < 0.2
    torch.testing.assert_close(F.avg_pool2d(fine, 2), half, atol=1e-5, rtol=0)
