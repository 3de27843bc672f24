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


def _natural(side: int, seed: int) -> torch.Tensor:
    """An image whose amplitude falls with frequency as 1 / f, as that of natural images does."""
    noise = torch.randn(side, side, generator=torch.Generator().manual_seed(seed))
    rows, cols = torch.fft.fftfreq(side)[:, None], torch.fft.rfftfreq(side)
    frequency = (rows**2 + cols**2).sqrt().clamp(min=1 / side)
    image = torch.fft.irfft2(torch.fft.rfft2(noise) / frequency, s=(side, side))
    return (0.5 + 0.15 * image / image.std())[None, None]


@pytest.mark.parametrize("factor", [2, 4, 8])
@pytest.mark.parametrize(
    ("sensor", "remaining"),
    [(Bicubic(), 0.62), (GaussianMtf(0.3), 0.72)],
    ids=["bicubic", "mtf"],
)
def test_the_residual_of_natural_images_shrinks(
    sensor: SensorModel, remaining: float, factor: int
) -> None:
    """Starting from the enlarged image, each correction leaves at most this share of the rms residual."""
    coarse = sensor.degrade(_natural(128, 0), factor)
    fine = F.interpolate(coarse, scale_factor=factor, mode="bicubic", antialias=True)
    residuals = [
        (
            sensor.degrade(back_project(fine, coarse, sensor, factor, iterations=count), factor)
            - coarse
        )
        .square()
        .mean()
        .sqrt()
        .item()
        for count in range(4)
    ]
    shares = [after / before for before, after in itertools.pairwise(residuals)]
    assert max(shares) < remaining, shares


@pytest.mark.parametrize("sensor", [Box(), Bicubic(), GaussianMtf(0.3)], ids=lambda s: s.name)
def test_an_image_that_explains_its_own_is_left_alone(sensor: SensorModel) -> None:
    fine = _natural(64, 1)
    same = back_project(fine, sensor.degrade(fine, 4), sensor, 4)
    torch.testing.assert_close(same, fine, atol=1e-6, rtol=0)


def test_the_box_projection_is_the_closest_image_that_explains_the_coarse_one() -> None:
    fine, coarse = _natural(32, 2), Box().degrade(_natural(32, 3), 4)
    nearest = (back_project(fine, coarse, Box(), 4) - fine).norm()
    for seed in range(5):
        detail = _natural(32, 10 + seed)
        # Any other image with these block means differs by detail without block means.
        other = back_project(fine, coarse, Box(), 4) + back_project(
            detail, torch.zeros_like(coarse), Box(), 4
        )
        torch.testing.assert_close(Box().degrade(other, 4), coarse)
        assert (other - fine).norm() > nearest


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
