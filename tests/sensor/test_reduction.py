from __future__ import annotations

import numpy as np
import pytest
import torch

from ultrares.sensor.models import parse_sensor
from ultrares.sensor.reduction import reduce_to, reduction


@pytest.mark.parametrize("name", ["box", "bicubic", "mtf:0.3"])
@pytest.mark.parametrize("factor", [2, 3, 4])
def test_whole_ratios_are_the_sensor_s_own(name: str, factor: int) -> None:
    sensor = parse_sensor(name)
    image = torch.rand(2, 3, 12 * factor, 9 * factor, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        reduce_to(image, (12, 9), sensor), sensor.degrade(image, factor), atol=1e-5, rtol=0
    )


@pytest.mark.parametrize("name", ["box", "bicubic", "mtf:0.3"])
@pytest.mark.parametrize("fine", [37, 53, 100])
def test_a_flat_image_stays_flat(name: str, fine: int) -> None:
    np.testing.assert_allclose(reduction(parse_sensor(name), fine, 29).sum(axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("name", ["box", "bicubic", "mtf:0.3"])
def test_a_slope_keeps_its_place(name: str) -> None:
    """Half a pixel of shift would show as half a step of the slope."""
    fine, coarse = 80, 30
    slope = (np.arange(fine) + 0.5) / fine
    expected = (np.arange(coarse) + 0.5) / coarse
    inner = slice(4, -4)
    np.testing.assert_allclose(
        (reduction(parse_sensor(name), fine, coarse) @ slope)[inner], expected[inner], atol=1e-3
    )
