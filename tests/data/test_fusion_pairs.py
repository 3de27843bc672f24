from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from ultrares.data.fusion_pairs import FusionMixture, FusionPair, FusionPairSampler
from ultrares.data.reference_images import ReferenceMixture
from ultrares.errors import RasterError
from ultrares.sensor.models import Box

RNG = np.random.default_rng(0)
# The second tile of a place is another exposure of the first, so that matching can undo it.
PIXELS = RNG.integers(0, 256, size=(4, 4, 160, 160)).astype(np.uint8)
PIXELS[1], PIXELS[3] = 255 - PIXELS[0] // 2, 30 + PIXELS[2] // 2
PLACES = [[0, 1], [2, 3]]
CLEAN = ReferenceMixture(wrong=0, blurred=0, shifted=0, simulated=0, jitter=0)
CROPS = FusionMixture({Box(): 1.0}, {8: 1.0}, batch=6, any_bands=0.5)


def drawn(seed: int, mixture: ReferenceMixture = CLEAN, crops: FusionMixture = CROPS) -> FusionPair:
    return FusionPairSampler(PIXELS, PLACES, crops, mixture).draw(np.random.default_rng(seed))


@pytest.mark.parametrize(("ratio", "side"), [(4, 144), (8, 144), (32, 128)])
def test_the_scene_is_the_reduced_truth_and_the_reference_lies_on_it(
    monkeypatch: pytest.MonkeyPatch, ratio: int, side: int
) -> None:
    monkeypatch.setattr("ultrares.data.fusion_pairs.UNMATCHED", 0.0)
    for seed in range(4):
        pair = drawn(seed, crops=replace(CROPS, ratios={ratio: 1.0}))
        assert pair.ratio == ratio
        assert pair.target.shape == pair.reference.shape == (6, 3, side, side)
        assert (Box().degrade(pair.target, ratio) - pair.scene).abs().max() < 0.51 / 255
        if ratio == 4:
            # A change of exposure is undone, but for rounding and what is left of 1296 pixels of noise.
            error = (pair.reference - pair.target).square().mean().sqrt()
            assert error < 0.3 * pair.target.std()


def test_crops_stand_at_any_phase_of_the_scene_s_pixels() -> None:
    spotted = np.zeros_like(PIXELS)
    spotted[..., 80, 80] = 255
    sampler, found = FusionPairSampler(spotted, PLACES, CROPS, CLEAN), set()
    for seed in range(6):
        for crop in sampler.draw(np.random.default_rng(seed)).target:
            row, col = divmod(int(crop[0].argmax()), 144)
            found.add((row % 8, col % 8))
    assert len(found) > 18


def test_some_references_have_gaps_and_bands_repeat() -> None:
    pairs = [drawn(seed, crops=replace(CROPS, batch=8, any_bands=1.0)) for seed in range(8)]
    whole = [bool(valid.all()) for pair in pairs for valid in pair.valid]
    assert 0.75 < np.mean(whole) < 1
    for pair in pairs:
        assert bool(((pair.valid == 0) | (pair.valid == 1)).all())
        assert bool(pair.valid.flatten(1).mean(1).ge(0.9).all())
    repeated = [bool((crop[0] == crop[1]).all()) for pair in pairs for crop in pair.target]
    assert 0.05 < np.mean(repeated) < 0.6


def test_references_are_as_wrong_as_asked() -> None:
    def error(mixture: ReferenceMixture) -> float:
        pair = drawn(3, mixture)
        return float((pair.reference - pair.target).square().mean())

    clean = error(CLEAN)
    assert error(replace(CLEAN, wrong=1.0)) > 1.5 * clean
    assert error(replace(CLEAN, shifted=1.0)) > 1.5 * clean
    assert error(replace(CLEAN, simulated=1.0)) != clean


def test_the_same_generator_draws_the_same_batch() -> None:
    one, other = (drawn(5, ReferenceMixture()) for _ in range(2))
    assert torch.equal(one.reference, other.reference)
    assert torch.equal(one.scene, other.scene)
    assert not torch.equal(one.scene, drawn(6, ReferenceMixture()).scene)


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(RasterError, match="no two tiles show one place"):
        FusionPairSampler(PIXELS, [], CROPS, CLEAN)
    with pytest.raises(RasterError, match="at least 256 pixels"):
        FusionPairSampler(PIXELS, PLACES, replace(CROPS, ratios={64: 1.0}), CLEAN)
