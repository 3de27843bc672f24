"""Local agreement of two images."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ultrares.nets.coherence import REACH, WINDOW, band_coherence, high_pass, local_coherence


@pytest.fixture
def image() -> torch.Tensor:
    return torch.rand(2, 3, 24, 20, generator=torch.Generator().manual_seed(0)) - 0.5


@pytest.mark.parametrize("gain", [0.5, -1.5])
def test_a_multiple_is_coherent_and_its_slope_the_inverse(image: torch.Tensor, gain: float) -> None:
    correlation, slope = local_coherence(image, gain * image, 1e-12).chunk(2, dim=1)
    torch.testing.assert_close(
        correlation, torch.full_like(image, np.sign(gain)), atol=1e-4, rtol=0
    )
    torch.testing.assert_close(slope, torch.full_like(image, max(1 / gain, -2)), atol=1e-3, rtol=0)


def test_statistics_are_those_of_the_window(image: torch.Tensor) -> None:
    other = torch.rand(2, 3, 24, 20, generator=torch.Generator().manual_seed(1)) - 0.5
    correlation, slope = local_coherence(image, other, 0.0).chunk(2, dim=1)
    rows, cols = slice(9, 9 + WINDOW), slice(6, 6 + WINDOW)
    x, y = (part[1, 2, rows, cols].double() for part in (image, other))
    centre = (1, 2, 9 + WINDOW // 2, 6 + WINDOW // 2)
    expected = (x * y).sum() / ((x * x).sum() * (y * y).sum()).sqrt()
    assert correlation[centre].item() == pytest.approx(expected.item(), rel=1e-4)
    assert slope[centre].item() == pytest.approx(((x * y).sum() / (y * y).sum()).item(), rel=1e-4)


def test_flat_images_are_not_coherent() -> None:
    flat = torch.zeros(1, 1, 9, 9)
    assert torch.equal(local_coherence(flat, flat, 1e-5), torch.zeros(1, 2, 9, 9))


def test_high_pass_removes_a_plane() -> None:
    rows, cols = torch.meshgrid(torch.arange(12.0), torch.arange(15.0), indexing="ij")
    plane = (3 * rows - 2 * cols)[None, None]
    assert high_pass(plane)[..., 2:-2, 2:-2].abs().max() < 1e-4


def test_reach_is_as_stated() -> None:
    guide, reference = torch.rand(1, 15, 40, 40), torch.rand(1, 12, 40, 40)
    before = band_coherence(guide, reference)
    reference[..., 20, 20] += 1.0
    changed = (band_coherence(guide, reference) != before).any(dim=1)[0].nonzero()
    assert (changed - 20).abs().max() == REACH
