"""Pairs for one enlargement are the truth and what the sensor makes of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ultrares.data.scale_pairs import ScalePair, ScalePairSampler
from ultrares.errors import RasterError
from ultrares.sensor.models import Bicubic, Box

TILES = np.random.default_rng(0).integers(0, 256, size=(3, 4, 70, 64)).astype(np.uint8)


def _sampler(**changes: object) -> ScalePairSampler:
    given: dict[str, object] = {
        "sensors": {Box(): 1.0}, "scales": (2, 4), "crop": 32, "batch": 3, "any_bands": 0.0,
    }  # fmt: skip
    return ScalePairSampler(TILES, **{**given, **changes})  # type: ignore[arg-type]


def _draws(sampler: ScalePairSampler, count: int = 12) -> list[ScalePair]:
    return [sampler.draw(np.random.default_rng(step)) for step in range(count)]


def test_an_image_is_the_degraded_target_at_every_scale() -> None:
    pairs = _draws(_sampler())
    assert {pair.scale for pair in pairs} == {2, 4}
    for pair in pairs:
        assert pair.target.shape == (3, 3, 32, 32)
        reduced = torch.nn.functional.avg_pool2d(pair.target, pair.scale)
        torch.testing.assert_close(pair.image, reduced, atol=0.51 / 255, rtol=0)


def test_crops_are_cut_from_the_tiles() -> None:
    known = {
        tile[:3, row, col].tobytes() for tile in TILES for row in range(70) for col in range(64)
    }
    target = (_draws(_sampler(), 1)[0].target * 255).round().byte()
    for pixel in target.permute(0, 2, 3, 1).reshape(-1, 3).numpy():
        assert pixel.tobytes() in known


def test_sensors_and_bands_are_mixed_and_a_seed_repeats() -> None:
    sampler = _sampler(sensors={Box(): 1.0, Bicubic(): 1.0}, any_bands=1.0)
    assert {pair.sensor.name for pair in _draws(sampler)} == {"box", "bicubic"}
    first, again = _draws(sampler, 1)[0], _draws(sampler, 1)[0]
    assert torch.equal(first.image, again.image)


def test_small_tiles_are_refused() -> None:
    with pytest.raises(RasterError, match="64 x 70 pixels are too small for crops of 80"):
        _sampler(crop=80)
