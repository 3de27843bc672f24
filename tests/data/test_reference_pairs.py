from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from ultrares.data.reference_images import ReferenceMixture
from ultrares.data.reference_pairs import (
    CropMixture,
    ReferencePairSampler,
    group_by_place,
)
from ultrares.data.tiles import Tiles
from ultrares.errors import RasterError
from ultrares.sensor.models import Box, SensorModel

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, size=(4, 3, 256, 256)).astype(np.uint8)
# The second tile of a place is another exposure of the first, so that matching can undo it.
PIXELS[1], PIXELS[3] = 255 - PIXELS[0] // 2, 30 + PIXELS[2] // 2
NAMES = ("a_2018.tif", "a_2020.tif", "b_2018.tif", "b_2020.tif")
TILES = Tiles(PIXELS, NAMES, ((0, 0),) * 4)
PLACES = [[0, 1], [2, 3]]
CLEAN = ReferenceMixture(offered=1, wrong=0, blurred=0, shifted=0, simulated=0, jitter=0)
CROPS = CropMixture({Box(): 1.0}, (1, 0, 0), (1, 0, 0, 0), crop=16, batch=3, any_bands=0.0)


def sampler(mixture: ReferenceMixture, crops: CropMixture = CROPS) -> ReferencePairSampler:
    return ReferencePairSampler(PIXELS, PLACES, crops, mixture)


def enlarge(image: Tensor, *_: object) -> Tensor:
    return F.interpolate(image, scale_factor=2, mode="nearest")


def test_places_are_what_the_names_agree_in_at_one_corner() -> None:
    names = ("a_2018.tif", "a_2018.tif", "a_2020.tif", "b_2018.tif", "readme.tif")
    tiles = Tiles(PIXELS[:1], names, ((0, 0), (0, 256), (0, 256), (0, 0), (0, 0)))
    assert group_by_place(tiles, r"(.)_\d+\.tif") == [[1, 2]]
    assert group_by_place(TILES, r"(.)_\d+\.tif") == PLACES


@pytest.mark.parametrize("octave", [0, 1, 2, 3])
def test_a_reference_lies_on_the_target_and_is_matched_to_it(octave: int) -> None:
    shares = tuple(float(octave == i) for i in range(4))
    pairs = sampler(CLEAN, replace(CROPS, octaves=shares))
    for step in range(4):
        pair = pairs.draw(np.random.default_rng(step), enlarge)
        assert pair.reference is not None
        assert pair.reference.shape == pair.target.shape
        assert pair.octave == octave
        # A linear change of exposure is undone but for rounding and the ridge.
        assert (pair.reference - pair.target).abs().mean() < 0.02
        assert (Box().degrade(pair.target, 2) - pair.image).abs().max() < 1e-2


@pytest.mark.parametrize(("octave", "depth"), [(0, 1), (0, 2), (0, 3), (1, 1), (1, 2), (2, 1)])
def test_each_level_of_a_cascade_is_shown_the_reference_at_its_size(
    octave: int, depth: int
) -> None:
    crops = replace(
        CROPS,
        octaves=tuple(float(octave == i) for i in range(4)),
        depths=tuple(float(depth == i) for i in range(4)),
    )
    seen: list[tuple[int, float]] = []

    def level(
        image: Tensor, original: Tensor, sensor: SensorModel, step: int, there: Tensor | None
    ) -> Tensor:
        assert there is not None
        assert there.shape[-1] == 2 * image.shape[-1] == 2 ** (step + 1) * original.shape[-1]
        assert sensor == Box()
        error = F.avg_pool2d(there, there.shape[-1] // original.shape[-1]) - original
        seen.append((step, float(error.abs().mean())))
        return enlarge(image)

    pair = sampler(CLEAN, crops).draw(np.random.default_rng(1), level)
    assert [step for step, _ in seen] == list(range(depth))
    assert max(error for _, error in seen) < 0.02
    assert pair.depth == depth
    assert pair.reference is not None
    assert (pair.reference - pair.target).abs().mean() < 0.02


def test_wrong_simulated_and_missing_references_come_as_often_as_asked() -> None:
    def error(mixture: ReferenceMixture) -> float:
        pair = sampler(mixture).draw(np.random.default_rng(3), enlarge)
        assert pair.reference is not None
        return float((pair.reference - pair.target).square().mean())

    clean = error(CLEAN)
    assert error(replace(CLEAN, wrong=1.0)) > 3 * clean
    assert clean < error(replace(CLEAN, simulated=1.0))
    assert clean < error(replace(CLEAN, shifted=1.0))
    assert clean < error(replace(CLEAN, blurred=1.0))
    none = sampler(replace(CLEAN, offered=0.0)).draw(np.random.default_rng(3), enlarge)
    assert none.reference is None


def test_the_same_generator_draws_the_same_batch() -> None:
    mixture = ReferenceMixture(offered=1.0)
    first, second = (sampler(mixture).draw(np.random.default_rng(5), enlarge) for _ in range(2))
    assert first.reference is not None
    assert second.reference is not None
    assert torch.equal(first.reference, second.reference)
    assert torch.equal(first.image, second.image)


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(RasterError, match="no two tiles show one place"):
        ReferencePairSampler(PIXELS, [], CROPS, CLEAN)
    with pytest.raises(RasterError, match="at least 256 pixels"):
        ReferencePairSampler(PIXELS[..., :128, :128], PLACES, CROPS, CLEAN)


def test_trusted_references_are_part_of_what_is_learnt_and_wrong_ones_are_not() -> None:
    def drawn(mixture: ReferenceMixture) -> tuple[Tensor, Tensor]:
        pair = sampler(mixture).draw(np.random.default_rng(4), enlarge)
        assert pair.reference is not None
        return pair.target, pair.reference

    right = replace(CLEAN, simulated=1.0)
    truth, reference = drawn(right)
    target, same = drawn(replace(right, trusted=0.25))
    torch.testing.assert_close(same, reference)
    inner = (..., slice(8, -8), slice(8, -8))

    def detail(image: Tensor) -> Tensor:
        return image - F.interpolate(Box().degrade(image, 2), scale_factor=2, mode="bicubic")

    expected = (truth + 0.25 * detail(reference - truth)).clamp(0, 1)
    torch.testing.assert_close(target[inner], expected[inner], atol=1e-5, rtol=0)
    assert (target - truth).abs().max() > 0.02
    # What the sensor sees of it is what it saw of the truth, but for the enlargement's ripple.
    seen = Box().degrade(target - truth, 2)
    assert seen.abs().mean() < 0.25 * (target - truth).abs().mean()

    wrong = replace(CLEAN, wrong=1.0)
    torch.testing.assert_close(drawn(replace(wrong, trusted=0.25))[0], drawn(wrong)[0])
