from __future__ import annotations

import numpy as np
import pytest
import torch

from ultrares.data.pairs import PairSampler, degrade_tiles
from ultrares.sensor.models import Bicubic, Box, SensorModel

TILES = np.random.default_rng(0).integers(0, 256, size=(3, 4, 256, 256)).astype(np.uint8)


def _sampler(
    depths: tuple[float, float, float], *, coarser: float = 0.0, any_bands: float = 0.0
) -> PairSampler:
    return PairSampler(
        TILES,
        sensors={Box(): 1.0},
        depths=depths,
        crop=16,
        batch=2,
        any_bands=any_bands,
        coarser=coarser,
    )


def _never(*_: object) -> torch.Tensor:
    raise AssertionError("depth 0 needs no level")


@pytest.mark.parametrize("coarser", [0.0, 1.0])
@pytest.mark.parametrize("any_bands", [0.0, 1.0])
def test_image_is_the_target_seen_by_the_sensor(coarser: float, any_bands: float) -> None:
    sampler = _sampler((1, 0, 0), coarser=coarser, any_bands=any_bands)
    for step in range(5):
        pair = sampler.draw(np.random.default_rng(step), _never)
        assert pair.image.shape == (2, 3, 16, 16)
        assert pair.target.shape == (2, 3, 32, 32)
        seen = 255 * Box().degrade(pair.target, 2)
        # Rounded to whole numbers, whichever way it was turned.
        assert (seen - 255 * pair.image).abs().max() <= 0.5 + 1e-3


@pytest.mark.parametrize("depth", [1, 2])
def test_deeper_images_come_from_the_level(depth: int) -> None:
    shares = (0.0, float(depth == 1), float(depth == 2))
    calls: list[tuple[int, tuple[int, ...]]] = []

    def level(
        image: torch.Tensor, original: torch.Tensor, sensor: SensorModel, step: int
    ) -> torch.Tensor:
        assert sensor == Box()
        calls.append((step, tuple(original.shape)))
        return image.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)

    pair = _sampler(shares).draw(np.random.default_rng(0), level)
    assert [step for step, _ in calls] == list(range(depth))
    assert len({shape for _, shape in calls}) == 1
    assert (pair.image.shape, pair.target.shape) == ((2, 3, 16, 16), (2, 3, 32, 32))
    # A level of repeated pixels leaves the mean of each original pixel where it was: the places agree.
    blocks = 2**depth
    coarse = Box().degrade(pair.image, blocks)
    assert (coarse - Box().degrade(pair.target, 2 * blocks)).abs().max() < 0.5 / 255 + 1e-5


def test_the_same_generator_draws_the_same_batch() -> None:
    sampler = _sampler((1, 0, 0), any_bands=0.5, coarser=0.5)
    first, again, other = (
        sampler.draw(np.random.default_rng(seed), _never).image for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_reduced_tiles_are_rounded() -> None:
    reduced = degrade_tiles(TILES, Bicubic(), 4)
    exact = Bicubic().degrade(torch.from_numpy(TILES).float(), 4).clamp(0, 255)
    assert reduced.dtype == np.uint8
    assert np.abs(reduced - exact.numpy()).max() <= 0.5
