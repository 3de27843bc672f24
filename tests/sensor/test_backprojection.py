from __future__ import annotations

import itertools

import pytest
import torch
from torch.nn import functional as F

from ultrares.sensor.backprojection import back_project, back_projection_reach
from ultrares.sensor.models import Bicubic, Box, GaussianMtf, SensorModel


def _smooth(*shape: int) -> torch.Tensor:
    noise = torch.rand(*shape, generator=torch.Generator().manual_seed(1))
    return F.interpolate(noise, scale_factor=4, mode="bicubic")


@pytest.mark.parametrize("factor", [2, 4])
def test_box_is_exact_and_a_projection(factor: int) -> None:
    fine, coarse = torch.rand(1, 3, 16, 16), torch.rand(1, 3, 16 // factor, 16 // factor)
    once = back_project(fine, coarse, Box(), factor)
    torch.testing.assert_close(Box().degrade(once, factor), coarse)
    torch.testing.assert_close(back_project(once, coarse, Box(), factor), once)
    # Orthogonal: the step is perpendicular to everything that keeps the block means.
    other = back_project(torch.rand(1, 3, 16, 16), coarse, Box(), factor)
    assert ((fine - once) * (other - once)).sum().abs() < 1e-4


@pytest.mark.parametrize("sensor", [Bicubic(), GaussianMtf(0.3)], ids=lambda s: s.name)
def test_each_iteration_shrinks_the_residual(sensor: SensorModel) -> None:
    fine = _smooth(1, 1, 16, 16)
    coarse = sensor.degrade(fine, 4) + 0.05 * torch.rand(1, 1, 16, 16)
    residuals = [
        (sensor.degrade(back_project(fine, coarse, sensor, 4, iterations=count), 4) - coarse)
        .square()
        .mean()
        .item()
        for count in range(4)
    ]
    assert all(after < 0.6 * before for before, after in itertools.pairwise(residuals))


@pytest.mark.parametrize("sensor", [Box(), Bicubic(), GaussianMtf(0.3)], ids=lambda s: s.name)
def test_reach_bounds_what_a_correction_depends_on(sensor: SensorModel) -> None:
    fine, coarse = torch.rand(1, 1, 16, 96), torch.rand(1, 1, 8, 48)
    reach = back_projection_reach(sensor, iterations=2)
    changed = fine.clone()
    changed[..., : 2 * (30 - reach)] = 0
    before, after = (
        back_project(image, coarse, sensor, 2, iterations=2)[..., 60:] for image in (fine, changed)
    )
    torch.testing.assert_close(before, after, atol=1e-6, rtol=0)
