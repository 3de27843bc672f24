from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import shift as move
from torch.nn import functional as F

from tests.scene.test_reference import texture
from ultrares.data.reference_images import ReferenceImages, ReferenceMixture, _moved

CLEAN = ReferenceMixture(offered=1, wrong=0, blurred=0, shifted=0, simulated=0, jitter=0)
PLACE = texture(256, 256, seed=5)
INNER = (..., slice(8, -8), slice(8, -8))


def images(offset: tuple[float, float], mixture: ReferenceMixture) -> ReferenceImages:
    """Two dates of one place, the second lying so much further down and to the right; each at two octaves."""
    later = np.stack([move(band, offset, order=3, mode="mirror") for band in PLACE])
    tiles = np.rint(np.stack([PLACE, later])).clip(0, 255)
    coarser = F.avg_pool2d(torch.from_numpy(tiles), 2).numpy()
    return ReferenceImages(
        [tiles.astype(np.uint8), np.rint(coarser).astype(np.uint8)], [[0, 1]], mixture
    )


def error(pairs: ReferenceImages, octave: int, tile: int) -> float:
    image = pairs.draw(np.random.default_rng(0), octave, tile, simulated=False).image
    return float((image - pairs._tile(octave, tile))[INNER].square().mean().sqrt())


@pytest.mark.parametrize("octave", [0, 1])
@pytest.mark.parametrize("tile", [0, 1])
@pytest.mark.parametrize("offset", [(0.6, -0.4), (-1.7, 2.3)])
def test_dates_are_registered_to_each_other_at_every_octave(
    offset: tuple[float, float], tile: int, octave: int
) -> None:
    beside = error(images(offset, CLEAN), octave, tile)
    registered = error(images(offset, replace(CLEAN, registered=True)), octave, tile)
    assert registered < 0.5 * beside


def test_what_is_too_far_beside_is_left_there() -> None:
    offset = (9.0, 0.0)
    beside, registered = (
        images(offset, mixture).draw(np.random.default_rng(0), 0, 0, simulated=False).image
        for mixture in (CLEAN, replace(CLEAN, registered=True))
    )
    torch.testing.assert_close(registered, beside, atol=1e-6, rtol=0)


def test_the_error_of_registration_is_as_large_as_asked() -> None:
    """Along a ramp, a displacement is a difference in brightness."""
    ramp = np.tile(np.arange(256, dtype=np.uint8)[:, None], (2, 3, 1, 256)).reshape(2, 3, 256, 256)
    pairs = ReferenceImages(
        [ramp], [[0, 1]], replace(CLEAN, registered=True, registration_error=0.5)
    )
    rng = np.random.default_rng(2)
    shifts = [
        float(255 * pairs.draw(rng, 0, 0, simulated=False).image[0, 128, 128]) - 128
        for _ in range(200)
    ]
    assert abs(np.mean(shifts)) < 0.12
    assert 0.43 < np.std(shifts) < 0.57


def test_what_lies_beyond_a_tile_is_no_other_edge_of_it() -> None:
    ramp = torch.linspace(0, 1, 64).repeat(3, 64, 1).transpose(1, 2)
    moved = _moved(ramp, 3.6, 0.0)
    assert (moved[:, 1:] - moved[:, :-1]).min() > -1e-3
    assert moved[:, -3:].min() > 0.95
