"""Algorithm 2, one level."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from tests.methods.conftest import small_nets
from ultrares.backbones.bicubic import BicubicBackbone
from ultrares.backbones.wavelet_residual import WaveletResidualBackbone
from ultrares.methods.band_prior import BandPrior
from ultrares.methods.cross_scale import CrossScale
from ultrares.methods.csp_wavediffur import CSPWaveDiffUR
from ultrares.methods.place import Place, Solve
from ultrares.methods.residual_bands import ResidualBands
from ultrares.methods.wavediffur import WaveDiffUR
from ultrares.nets.cross_scale_pyramid import CrossScalePyramid
from ultrares.nets.high_frequency import HighFrequency
from ultrares.types import AlignedReference, Origin
from ultrares.wavelet import split

PLACE = Place(Origin(0, 0), level=1, mtf=0.5, depth=0)
PERCEPTUAL = Solve(mode="perceptual", steps=2)


@pytest.fixture
def csp() -> CSPWaveDiffUR:
    net, denoiser = small_nets()
    parts = CrossScalePyramid(width=12, heads=3), HighFrequency(width=12, heads=3)
    generator = torch.Generator().manual_seed(6)
    for part in parts:
        for parameter in part.parameters():
            nn.init.normal_(parameter, std=0.1, generator=generator)
        part.eval().requires_grad_(requires_grad=False)
    prior = BandPrior(denoiser, ResidualBands((0.01, 0.02, 0.02, 0.01)))
    backbone = WaveletResidualBackbone(net, name="small")
    return CSPWaveDiffUR(backbone, CrossScale(*parts), prior)


@pytest.fixture
def image() -> torch.Tensor:
    return torch.rand(1, 3, 32, 48, generator=torch.Generator().manual_seed(2))


def reference_of(bands: int, valid: float = 1.0) -> AlignedReference:
    pixels = torch.rand(1, bands, 64, 96, generator=torch.Generator().manual_seed(3))
    return AlignedReference(pixels, torch.full((1, 1, 64, 96), valid))


def test_baseline_is_algorithm_1(csp: CSPWaveDiffUR, image: torch.Tensor) -> None:
    one = WaveDiffUR(csp.backbone, csp.prior)
    baseline = csp.with_parts("baseline")
    for how in (Solve(), PERCEPTUAL):
        torch.testing.assert_close(
            baseline.solve(image, PLACE, how, reference=reference_of(3)),
            one.solve(image, PLACE, how),
            atol=1e-6,
            rtol=0,
        )


def test_conditions_only_need_a_reference(csp: CSPWaveDiffUR, image: torch.Tensor) -> None:
    model = csp.with_parts("model-1")
    base = csp.with_parts("baseline").solve(image, PLACE, Solve())
    torch.testing.assert_close(model.solve(image, PLACE, Solve()), base, atol=1e-6, rtol=0)
    guided = model.solve(image, PLACE, Solve(), reference=reference_of(3))
    assert not torch.allclose(guided, base, atol=1e-3)


def test_a_reference_valid_nowhere_is_none(csp: CSPWaveDiffUR, image: torch.Tensor) -> None:
    without = csp.solve(image, PLACE, Solve())
    blind = csp.solve(image, PLACE, Solve(), reference=reference_of(3, valid=0.0))
    torch.testing.assert_close(blind, without, atol=1e-6, rtol=0)


def test_high_frequency_leaves_the_low(csp: CSPWaveDiffUR, image: torch.Tensor) -> None:
    base = split(csp.with_parts("baseline").solve(image, PLACE, Solve()))
    restored = split(csp.with_parts("model-2").solve(image, PLACE, Solve()))
    torch.testing.assert_close(restored.approx, base.approx, atol=1e-5, rtol=0)
    for name in ("vertical", "horizontal", "diagonal"):
        assert not torch.allclose(getattr(restored, name), getattr(base, name), atol=1e-3)


@pytest.mark.parametrize("any_bands", [False, True])
@pytest.mark.parametrize("bands", [1, 3, 5])
def test_groups_of_bands_see_their_own_reference(
    csp: CSPWaveDiffUR, bands: int, any_bands: bool
) -> None:
    if any_bands:
        csp = CSPWaveDiffUR(BicubicBackbone(), csp.parts, csp.prior)
    image = torch.rand(1, bands, 32, 48, generator=torch.Generator().manual_seed(4))
    reference = reference_of(bands)
    result = csp.solve(image, PLACE, Solve(), reference=reference)
    first = [0, 0, 0] if bands == 1 else [0, 1, 2]
    alone = csp.solve(
        image[:, first],
        PLACE,
        Solve(),
        reference=AlignedReference(reference.image[:, first], reference.valid),
    )
    count = len(set(first))
    torch.testing.assert_close(result[:, :count], alone[:, :count], atol=1e-6, rtol=0)


def test_draws_share_the_first_mean_and_then_part(csp: CSPWaveDiffUR, image: torch.Tensor) -> None:
    how = replace(PERCEPTUAL, draws=2)
    draws = csp.solve(image, PLACE, how, reference=reference_of(3))
    assert draws.shape == (2, 3, 64, 96)
    single = csp.solve(image, PLACE, PERCEPTUAL, reference=reference_of(3))
    torch.testing.assert_close(draws[:1], single, atol=1e-5, rtol=0)
    # The next level is given one image per draw; each must be treated as if it were alone.
    deeper = replace(PLACE, level=2)
    wide = AlignedReference(*(each.repeat(1, 1, 2, 2) for each in reference_of(3)))
    together = csp.solve(draws, deeper, how, reference=wide)
    alone = csp.solve(draws[:1], deeper, PERCEPTUAL, reference=wide)
    torch.testing.assert_close(together[:1], alone, atol=1e-5, rtol=0)


def test_equation_17_noises_move_the_details(csp: CSPWaveDiffUR, image: torch.Tensor) -> None:
    still = split(csp.solve(image, PLACE, Solve()))
    added = split(csp.solve(image, PLACE, Solve(output_noise=0.02)))
    assert (added.diagonal - still.diagonal).std().item() == pytest.approx(0.02, rel=0.1)
    torch.testing.assert_close(added.approx, still.approx, atol=1e-6, rtol=0)
    moved = split(csp.solve(image, PLACE, Solve(input_noise=0.02)))
    assert (moved.diagonal - still.diagonal).std() > 1e-4


def test_a_reused_condition_sets_the_low_frequency(csp: CSPWaveDiffUR, image: torch.Tensor) -> None:
    other = torch.rand(1, 3, 32, 48, generator=torch.Generator().manual_seed(8))
    result = split(csp.solve(image, PLACE, Solve(), condition=other))
    torch.testing.assert_close(
        result.approx, split(csp.super_resolve(other, PLACE, Solve())).approx, atol=1e-5, rtol=0
    )


def test_parts_can_be_switched_on_again(csp: CSPWaveDiffUR, image: torch.Tensor) -> None:
    again = csp.with_parts("baseline").with_parts("proposed")
    reference = reference_of(3)
    assert torch.equal(
        again.solve(image, PLACE, Solve(), reference=reference),
        csp.solve(image, PLACE, Solve(), reference=reference),
    )
