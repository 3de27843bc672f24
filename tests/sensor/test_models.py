from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from PIL import Image

from ultrares.errors import OptionError
from ultrares.sensor.models import Bicubic, Box, GaussianMtf, SensorModel, parse_sensor

SENSORS: list[SensorModel] = [Box(), Bicubic(), GaussianMtf(0.2), GaussianMtf(0.5)]


@pytest.fixture(params=SENSORS, ids=lambda sensor: sensor.name)
def sensor(request: pytest.FixtureRequest) -> SensorModel:
    return request.param


@pytest.mark.parametrize("factor", [2, 3, 8])
def test_box_is_the_block_mean(factor: int) -> None:
    image = torch.rand(1, 2, 24, 48, dtype=torch.float64)
    mean = image.numpy().reshape(1, 2, 24 // factor, factor, 48 // factor, factor).mean((3, 5))
    np.testing.assert_allclose(Box().degrade(image, factor).numpy(), mean, atol=1e-12)


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_bicubic_is_pillow_s(factor: int) -> None:
    image = np.random.default_rng(0).random((48, 60)).astype(np.float32)
    size = (60 // factor, 48 // factor)
    expected = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC))
    ours = Bicubic().degrade(torch.from_numpy(image)[None, None], factor)[0, 0]
    np.testing.assert_allclose(ours.numpy(), expected, atol=1e-5)


def test_constants_stay(sensor: SensorModel) -> None:
    flat = torch.full((1, 1, 40, 40), 0.7)
    torch.testing.assert_close(sensor.degrade(flat, 4), torch.full((1, 1, 10, 10), 0.7))


def test_declared_transfer_is_measured_at_nyquist(sensor: SensorModel) -> None:
    """A wave of two coarse pixels, with its crests on their centres, is damped by the declared value."""
    factor, columns = 16, 24
    position = (torch.arange(columns * factor, dtype=torch.float64) + 0.5) / factor
    wave = torch.cos(math.pi * (position - 0.5)).expand(1, 1, 12 * factor, -1)
    seen = sensor.degrade(wave, factor)[0, 0, 6, 6:-6]
    crests = torch.tensor([(-1.0) ** i for i in range(6, columns - 6)], dtype=torch.float64)
    torch.testing.assert_close(seen, sensor.mtf * crests, atol=0.004, rtol=0)


def test_nothing_beyond_the_reach_is_seen(sensor: SensorModel) -> None:
    image = torch.rand(1, 1, 40, 40)
    changed = image.clone()
    changed[..., : 4 * (5 - sensor.reach)] = 0
    before, after = (sensor.degrade(i, 4)[..., 5:] for i in (image, changed))
    torch.testing.assert_close(before, after)


def test_names_lead_back_to_their_sensor(sensor: SensorModel) -> None:
    assert parse_sensor(sensor.name) == sensor


@pytest.mark.parametrize(
    "text", ["", "lanczos", "mtf", "mtf:", "mtf:x", "mtf:0", "mtf:1", "mtf:nan"]
)
def test_other_names_are_refused(text: str) -> None:
    with pytest.raises(OptionError, match="sensor"):
        parse_sensor(text)
