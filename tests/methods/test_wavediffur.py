"""Algorithm 1, one level."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from tests.methods.conftest import small_nets
from ultrares.backbones.bicubic import BicubicBackbone
from ultrares.diffusion import VP
from ultrares.errors import ModelError
from ultrares.methods.band_prior import BandPrior
from ultrares.methods.place import Place, Solve
from ultrares.methods.residual_bands import ResidualBands
from ultrares.methods.wavediffur import WaveDiffUR
from ultrares.types import Denoiser, Origin
from ultrares.wavelet import Bands, merge, split

PLACE = Place(Origin(0, 0), level=0, mtf=0.5, depth=0)
PERCEPTUAL = Solve(mode="perceptual", steps=3)


@pytest.fixture
def image() -> torch.Tensor:
    return torch.rand(1, 3, 24, 28, generator=torch.Generator().manual_seed(2))


def test_fidelity_is_the_backbone(solver: WaveDiffUR, image: torch.Tensor) -> None:
    mean = solver.solve(image, PLACE, Solve())
    torch.testing.assert_close(mean, solver.backbone(image, mtf=0.5, depth=0), atol=1e-6, rtol=0)


def test_sample_is_the_clean_signal_where_the_denoiser_knows_it(image: torch.Tensor) -> None:
    truth = torch.rand(1, 3, 48, 56, generator=torch.Generator().manual_seed(4))

    class Oracle(BandPrior):
        def denoise(
            self,
            image: torch.Tensor,  # noqa: ARG002
            mean: torch.Tensor,
            sde: VP,  # noqa: ARG002
            *,
            mtf: float,  # noqa: ARG002
            depth: int,  # noqa: ARG002
        ) -> Denoiser:
            clean = self.bands.encode(truth, mean)
            return lambda noisy, time: clean  # noqa: ARG005

    prior = Oracle(small_nets()[1], ResidualBands((0.01, 0.02, 0.02, 0.01)))
    sample = WaveDiffUR(BicubicBackbone(), prior).solve(image, PLACE, PERCEPTUAL)
    torch.testing.assert_close(sample, truth, atol=1e-5, rtol=0)


def test_sample_depends_on_seed_draw_and_level_only(
    solver: WaveDiffUR, image: torch.Tensor
) -> None:
    sample = solver.solve(image, PLACE, PERCEPTUAL)
    assert torch.equal(sample, solver.solve(image, PLACE, PERCEPTUAL))
    draws = solver.solve(image, PLACE, replace(PERCEPTUAL, draws=3))
    # But for rounding, which differs with the size of a batch.
    torch.testing.assert_close(draws[:1], sample, atol=1e-5, rtol=0)
    others = (solver.solve(image, PLACE, replace(PERCEPTUAL, seed=1)), draws[1:2], draws[2:])
    for other in others:
        assert not torch.allclose(sample, other, atol=1e-4)
    assert not torch.allclose(
        sample, solver.solve(image, replace(PLACE, level=3), PERCEPTUAL), atol=1e-4
    )


def test_sample_of_a_window_is_the_window_of_the_sample(solver: WaveDiffUR) -> None:
    wide = torch.rand(1, 3, 140, 32, generator=torch.Generator().manual_seed(7))
    whole = solver.solve(wide, PLACE, PERCEPTUAL)
    lower = solver.solve(wide[..., 20:, :], replace(PLACE, origin=Origin(20, 0)), PERCEPTUAL)
    assert solver.prior is not None
    reach = 2 * (solver.halo + 3 * solver.prior.net.halo)
    torch.testing.assert_close(
        whole[..., 40 + reach :, :], lower[..., reach:, :], atol=1e-5, rtol=0
    )


def test_low_frequency_alone_is_sampled_on_request(solver: WaveDiffUR, image: torch.Tensor) -> None:
    base = split(solver.super_resolve(image, PLACE, Solve()))
    result = split(solver.solve(image, PLACE, replace(PERCEPTUAL, details="backbone")))
    for name in ("vertical", "horizontal", "diagonal"):
        torch.testing.assert_close(getattr(result, name), getattr(base, name), atol=1e-5, rtol=0)
    assert not torch.allclose(result.approx, base.approx, atol=1e-4)


def test_equation_11_to_the_letter_enlarges_the_bands_themselves(image: torch.Tensor) -> None:
    backbone = BicubicBackbone()
    result = WaveDiffUR(backbone).solve(image, PLACE, Solve(details="bands"))
    own = split(image)
    enlarged = Bands(split(backbone(image)).approx, *(backbone(band) for band in own[1:]))
    torch.testing.assert_close(result, merge(enlarged), atol=1e-5, rtol=0)


def test_equation_11_noises_have_the_stated_covariance() -> None:
    """For a linear U, N(U x, r^2 U U^T + s^2 I) has variance r^2 |U_i|^2 + s^2 at each pixel."""
    flat = torch.full((1, 1, 96, 96), 0.5)
    backbone = BicubicBackbone()
    how = Solve(details="bands", input_noise=0.02, output_noise=0.01, seed=9)
    noisy = split(WaveDiffUR(backbone).solve(flat, PLACE, how))
    impulse = torch.zeros(1, 1, 17, 17)
    impulse[..., 8, 8] = 1.0
    # Mean over the four phases of x2 of the squared rows of U.
    gain = backbone(impulse).square().sum().item() / 4
    expected = (0.02**2 * gain + 0.01**2) ** 0.5
    for band in noisy[1:]:
        assert band.std().item() == pytest.approx(expected, rel=0.05)


def test_reused_condition_sets_the_low_frequency_only(
    solver: WaveDiffUR, image: torch.Tensor
) -> None:
    other = torch.rand(1, 3, 24, 28, generator=torch.Generator().manual_seed(8))
    result = split(solver.solve(image, PLACE, Solve(), condition=other))
    torch.testing.assert_close(
        result.approx, split(solver.super_resolve(other, PLACE, Solve())).approx
    )
    own = split(solver.super_resolve(image, PLACE, Solve()))
    torch.testing.assert_close(result.diagonal, own.diagonal, atol=1e-6, rtol=0)


def test_samples_need_a_denoiser(image: torch.Tensor) -> None:
    with pytest.raises(ModelError, match="fidelity"):
        WaveDiffUR(BicubicBackbone()).solve(image, PLACE, PERCEPTUAL)
