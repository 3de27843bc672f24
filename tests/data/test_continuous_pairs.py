from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from ultrares.data.continuous_pairs import ContinuousSampler
from ultrares.errors import RasterError
from ultrares.nets.neural_operator import bilinear
from ultrares.sensor.models import Bicubic, Box


def sampler(side: int = 128, **options: object) -> ContinuousSampler:
    rng = np.random.default_rng(0)
    noise = torch.from_numpy(rng.random((3, 4, side // 16, side // 16)))
    smooth = F.interpolate(noise, size=(side, side), mode="bicubic").clamp(0, 1)
    tiles = (smooth * 255).byte().numpy()
    given = {
        "sensors": {Box(): 1.0, Bicubic(): 1.0},
        "largest": 8.0,
        "crop": 24,
        "places": 20,
        "batch": 2,
        "any_bands": 0.5,
        "coarser": 0.0,
    }
    return ContinuousSampler(tiles, **{**given, **options})  # type: ignore[arg-type]


def test_scales_are_continuous_and_the_cell_is_the_ratio_that_was_taken() -> None:
    draw = sampler()
    scales = []
    for seed in range(60):
        pair = draw.draw(np.random.default_rng(seed))
        scales.append(pair.scale)
        assert pair.queries.pitch[0] * pair.scale == pytest.approx(1)
        assert pair.target.shape[-2:] == (len(pair.queries.rows), len(pair.queries.cols))
        assert 0 < float(pair.queries.rows[0]) < float(pair.queries.rows[-1]) < pair.image.shape[-2]
    assert min(scales) > 1
    assert max(scales) <= 8.5
    assert np.histogram(scales, bins=4, range=(1, 8))[0].min() >= 6
    assert sum(scale != round(scale) for scale in scales) > 40


def test_places_and_truth_agree() -> None:
    """A smooth image interpolated at the places is the truth there; a pixel of shift would show."""
    for seed in range(12):
        pair = sampler().draw(np.random.default_rng(seed))
        if pair.scale > 4:
            continue
        inner = (..., slice(4, -4), slice(4, -4))
        error = (bilinear(pair.image, pair.queries) - pair.target)[inner].abs().mean()
        shifted = (bilinear(pair.image.roll(1, -1), pair.queries) - pair.target)[inner].abs().mean()
        assert error < 0.02
        assert error < 0.7 * shifted


def test_without_places_all_are_asked_for_in_whole_blocks() -> None:
    draw = sampler(places=None, truth=64)
    for seed in range(20):
        pair = draw.draw(np.random.default_rng(seed))
        assert pair.target.shape[-1] % 4 == 0
        assert pair.target.shape[-1] <= 64
        assert pair.image.shape[-1] < pair.target.shape[-1]


def test_the_same_seed_draws_the_same() -> None:
    one, other = (sampler().draw(np.random.default_rng(5)) for _ in range(2))
    assert torch.equal(one.image, other.image)
    assert torch.equal(one.target, other.target)


def test_tiles_too_small_for_the_largest_scale_are_refused() -> None:
    with pytest.raises(RasterError, match="at least 256"):
        sampler(side=128, coarser=0.3)
