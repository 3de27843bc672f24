from __future__ import annotations

import numpy as np
import pytest
import torch

from ultrares.data.pairs import PairSampler, degrade_tiles
from ultrares.errors import RasterError
from ultrares.sensor.models import Bicubic, Box, SensorModel

TILES = np.random.default_rng(0).integers(0, 256, size=(3, 4, 256, 256)).astype(np.uint8)


def _sampler(
    depths: tuple[float, float, float],
    *,
    coarser: float | tuple[float, ...] = 0.0,
    any_bands: float = 0.0,
    tiles: np.ndarray = TILES,
    sensor: SensorModel | None = None,
    crop: int = 16,
    scale: int = 2,
) -> PairSampler:
    return PairSampler(
        tiles,
        sensors={sensor or Box(): 1.0},
        depths=depths,
        crop=crop,
        batch=2,
        any_bands=any_bands,
        coarser=coarser if isinstance(coarser, tuple) else (coarser,),
        scale=scale,
    )


def _never(*_: object) -> torch.Tensor:
    raise AssertionError("depth 0 needs no level")


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("coarser", [0.0, 1.0])
@pytest.mark.parametrize("any_bands", [0.0, 1.0])
def test_image_is_the_target_seen_by_the_sensor(
    coarser: float, any_bands: float, scale: int
) -> None:
    sampler = _sampler((1, 0, 0), coarser=coarser, any_bands=any_bands, scale=scale)
    for step in range(5):
        pair = sampler.draw(np.random.default_rng(step), _never)
        assert pair.image.shape == (2, 3, 16, 16)
        assert pair.target.shape == (2, 3, scale * 16, scale * 16)
        seen = 255 * Box().degrade(pair.target, scale)
        # Rounded to whole numbers, whichever way it was turned.
        assert (seen - 255 * pair.image).abs().max() <= 0.5 + 1e-3


@pytest.mark.parametrize(("depth", "scale"), [(1, 2), (2, 2), (1, 4)])
def test_deeper_images_come_from_the_level(depth: int, scale: int) -> None:
    shares = (0.0, float(depth == 1), float(depth == 2))
    calls: list[tuple[int, tuple[int, ...]]] = []

    def level(
        image: torch.Tensor, original: torch.Tensor, sensor: SensorModel, step: int
    ) -> torch.Tensor:
        assert sensor == Box()
        calls.append((step, tuple(original.shape)))
        return image.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)

    pair = _sampler(shares, scale=scale).draw(np.random.default_rng(0), level)
    assert [step for step, _ in calls] == list(range(depth))
    # Context that the level needs, and that is cut off again: 4 original pixels, 6 below depth 1.
    side = 16 // 2**depth + 2 * (4 if depth == 1 else 6)
    assert {shape for _, shape in calls} == {(2, 3, side, side)}
    fine = scale * 16
    assert (pair.image.shape, pair.target.shape) == ((2, 3, 16, 16), (2, 3, fine, fine))
    # A level of repeated pixels leaves the mean of each original pixel where it was: the places agree.
    blocks = 2**depth
    coarse = Box().degrade(pair.image, blocks)
    assert (coarse - Box().degrade(pair.target, scale * blocks)).abs().max() < 0.5 / 255 + 1e-5


def test_a_draw_too_deep_for_a_tile_falls_back() -> None:
    """An original is at most eight times coarser than a tile: x4 has one level before it, the halved tile none."""
    deepest = _sampler((0, 0, 1), scale=4)

    def level(image: torch.Tensor, *_: object) -> torch.Tensor:
        return image.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)

    assert deepest.draw(np.random.default_rng(0), level).depth == 1
    halved = _sampler((0, 0, 1), scale=4, coarser=1.0)
    assert halved.draw(np.random.default_rng(0), _never).depth == 0


def test_the_same_generator_draws_the_same_batch() -> None:
    sampler = _sampler((1, 0, 0), any_bands=0.5, coarser=0.5)
    first, again, other = (
        sampler.draw(np.random.default_rng(seed), _never).image for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_bands_are_red_green_blue_or_any_with_repetition() -> None:
    flat = np.broadcast_to(np.array([10, 20, 30, 40], np.uint8)[:, None, None], TILES.shape).copy()

    def drawn(any_bands: float) -> set[tuple[int, ...]]:
        sampler = _sampler((1, 0, 0), any_bands=any_bands, tiles=flat)
        pairs = [sampler.draw(np.random.default_rng(step), _never) for step in range(60)]
        for pair in pairs:
            torch.testing.assert_close(pair.image.mean((0, 2, 3)), pair.target.mean((0, 2, 3)))
        values = (255 * pair.image[0].mean((1, 2)) for pair in pairs)
        return {tuple(round(float(v)) for v in value) for value in values}

    assert drawn(0.0) == {(10, 20, 30)}
    found = drawn(1.0)
    assert {value for bands in found for value in bands} == {10, 20, 30, 40}
    assert any(len(set(bands)) < 3 for bands in found)


def test_the_coarser_truth_is_the_tile_reduced_by_two() -> None:
    """A ramp of one level per pixel climbs two per pixel when it is reduced."""
    ramp = np.broadcast_to(np.arange(256, dtype=np.uint8), TILES.shape).copy()
    for coarser, climb in ((0.0, 1.0), (1.0, 2.0)):
        sampler = _sampler((1, 0, 0), coarser=coarser, tiles=ramp)
        target = 255 * sampler.draw(np.random.default_rng(0), _never).target
        # Along the rows or, if the crop was turned, along the columns.
        steps = target.diff(dim=3)[..., 1:, :].abs() + target.diff(dim=2)[..., 1:].abs()
        assert steps.mean().item() == pytest.approx(climb, abs=0.02)
    # It is reduced by a sensor: fine stripes become their mean and do not alias.
    stripes = np.broadcast_to(np.array([0, 100] * 128, np.uint8), TILES.shape).copy()
    sampler = _sampler((1, 0, 0), coarser=1.0, tiles=stripes)
    target = 255 * sampler.draw(np.random.default_rng(0), _never).target
    torch.testing.assert_close(target, torch.full_like(target, 50))


@pytest.mark.parametrize(("octave", "crop"), [(1, 32), (2, 32), (3, 16)])
def test_a_coarser_octave_is_the_tile_reduced_again(octave: int, crop: int) -> None:
    """A ramp climbs twice as fast at each, and crops are what is left of a tile, in larger batches."""
    ramp = np.broadcast_to(np.arange(256, dtype=np.uint8), TILES.shape).copy()
    shares = tuple(float(each == octave) for each in (1, 2, 3))
    sampler = _sampler((1, 0, 0), coarser=shares, tiles=ramp, crop=32)
    pair = sampler.draw(np.random.default_rng(0), _never)
    assert pair.image.shape == (4 if crop < 32 else 2, 3, crop, crop)
    torch.testing.assert_close(pair.image, Box().degrade(pair.target, 2), atol=0.51 / 255, rtol=0)
    steps = 255 * (
        pair.target.diff(dim=3)[..., 1:, :].abs() + pair.target.diff(dim=2)[..., 1:].abs()
    )
    assert steps.mean().item() == pytest.approx(2.0**octave, rel=0.02)


def test_octaves_are_drawn_as_often_as_asked() -> None:
    sampler = _sampler((1, 0, 0), coarser=(0.3, 0.2, 0.1), crop=32)
    found = [sampler._octave((number + 0.5) / 1000) for number in range(1000)]
    assert [found.count(octave) for octave in range(4)] == [400, 300, 200, 100]


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_tiles_of_any_side_stay_aligned(depth: int) -> None:
    """A sensor that resizes would stretch a tile that is no multiple of its factor."""
    shares = (float(depth == 0), float(depth == 1), float(depth == 2))
    ramp = np.broadcast_to(np.arange(250, dtype=np.uint8), (2, 3, 213, 250)).copy()
    sampler = _sampler(shares, tiles=ramp, sensor=Bicubic())

    def level(image: torch.Tensor, *_: object) -> torch.Tensor:
        return image.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)

    for step in range(5):
        pair = sampler.draw(np.random.default_rng(step), level)
        coarse = Box().degrade(pair.image, 2**depth)
        error = 255 * (coarse - Box().degrade(pair.target, 2 ** (depth + 1)))
        # The rounding, and at a tile's edge what the clamped kernel makes of a ramp.
        assert error.abs().max() < 1.5


def test_tiles_too_small_for_the_crops_are_refused_in_a_sentence() -> None:
    tiles = np.zeros((1, 3, 120, 64), np.uint8)
    for depths, coarser, crop in (((1, 0, 0), 1.0, 48), ((0, 0, 1), 0.0, 16), ((1, 1, 0), 0.0, 32)):
        with pytest.raises(RasterError, match=r"64 x 120 pixels are too small.*at least \d+"):
            _sampler(depths, coarser=coarser, crop=crop, tiles=tiles)
    _sampler((1, 0, 0), crop=32, tiles=tiles).draw(np.random.default_rng(0), _never)


def test_reduced_tiles_are_rounded() -> None:
    reduced = degrade_tiles(TILES, Bicubic(), 4)
    exact = Bicubic().degrade(torch.from_numpy(TILES).float(), 4).clamp(0, 255)
    assert reduced.dtype == np.uint8
    assert np.abs(reduced - exact.numpy()).max() <= 0.5
