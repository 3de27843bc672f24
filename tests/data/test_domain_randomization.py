from __future__ import annotations

import numpy as np
import pytest
import torch

from ultrares.data.domain_randomization import randomized_light, randomized_size, sharpened

RNG = np.random.default_rng(0)
IMAGE = torch.from_numpy(RNG.random((4, 40, 64), dtype=np.float32))


def test_two_images_change_alike_but_for_sharpness() -> None:
    # What has no detail cannot be sharpened, so what was equal stays equal.
    flat = torch.tensor([0.2, 0.4, 0.6, 0.8])[:, None, None].expand(4, 40, 64)
    for seed in range(8):
        one, other = randomized_light(np.random.default_rng(seed), flat, flat.clone())
        torch.testing.assert_close(one, other)
        assert not torch.allclose(one, flat, atol=1e-3)
    one, other = randomized_light(np.random.default_rng(1), IMAGE, IMAGE.clone())
    assert not torch.allclose(one, other, atol=1e-2)
    assert one.shape == IMAGE.shape
    assert 0 <= one.min() <= one.max() <= 1


def test_grey_stays_grey_where_bands_are_mixed() -> None:
    grey = torch.full((4, 8, 8), 0.5)
    for seed in range(8):
        changed = randomized_light(np.random.default_rng(seed), grey, grey)[0]
        torch.testing.assert_close(changed, changed[:1].expand(4, 8, 8))


def test_places_stay_on_one_grid_when_their_size_changes() -> None:
    changed = 0
    for seed in range(24):
        one, other = randomized_size(np.random.default_rng(seed), (IMAGE, 1 - IMAGE))
        assert one.shape == other.shape == IMAGE.shape
        # Clamping alone keeps the two from adding up to one everywhere.
        assert (one + other - 1).abs().median() < 1e-5
        changed += not torch.equal(one, IMAGE)
    assert 10 < changed < 24


def test_what_is_smaller_is_continued_by_its_mirror_image(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = torch.linspace(0, 1, 40)[None, :, None].expand(1, 40, 64)
    monkeypatch.setattr("ultrares.data.domain_randomization.RESIZED", 1.0)
    sizes = set()
    for seed in range(12):
        (image,) = randomized_size(np.random.default_rng(seed), (rows,))
        # A step of the ramp says how large it was made, and it turns round where it ended.
        steps = image[0, :, 0].diff() * 39
        size = 1 / float(steps[8:16].median())
        sizes.add(size)
        assert (steps[-1] < 0) == (size < 0.97)
    assert min(sizes) < 0.9
    assert max(sizes) > 1.1


def test_sharpening_adds_the_finest_detail() -> None:
    checks = (torch.arange(8)[:, None] + torch.arange(8)) % 2 * 0.2 + 0.4
    # The binomial blur takes all of it away, so half as much again is half as much again.
    sharper = sharpened(checks[None], 0.5)[0, 1:-1, 1:-1]
    torch.testing.assert_close(sharper - 0.5, 1.5 * (checks[1:-1, 1:-1] - 0.5))
    torch.testing.assert_close(sharpened(IMAGE, 0.0), IMAGE)
