"""Parametrisations: each recovers the clean signal from its own target."""

import pytest
import torch

from ultrares.diffusion import EPS, VP, X0, MeanReverting, V, denoiser, edm_scaling

CLEAN, NORMAL, MU = torch.randn(3, 2, 3, 4, 4, generator=torch.Generator().manual_seed(1)).double()


@pytest.fixture(params=["vp", "mean-reverting"])
def sde(request):
    return VP.linear() if request.param == "vp" else MeanReverting.cosine(MU, 0.2)


@pytest.mark.parametrize("prediction", [EPS, V, X0], ids=["eps", "v", "x0"])
def test_a_network_that_is_right_denoises_exactly(sde, prediction):
    time = 0.6 * sde.end
    signal, noise = sde.signal(time), sde.noise(time) / sde.lam
    truth = prediction.target((CLEAN - sde.mu) / sde.lam, NORMAL, signal, noise)
    denoise = denoiser(lambda _x, _t: truth, sde, prediction)
    torch.testing.assert_close(denoise(sde.perturb(CLEAN, time, NORMAL), time), CLEAN)


def test_the_ir_sde_formula_for_a_noise_predicting_network():
    sde, time = MeanReverting.cosine(MU, 50 / 255), 30.0
    x, guess = torch.randn_like(MU), torch.randn_like(MU)
    expected = (x - MU - sde.noise(time) * guess) * torch.exp(sde.decay.integral(time)) + MU
    torch.testing.assert_close(denoiser(lambda _x, _t: guess, sde, EPS)(x, time), expected)


def test_the_network_sees_the_state_and_one_time_per_sample():
    seen = []

    def network(x, times):
        seen.append((x, times))
        return x

    x = torch.randn(5, 2)
    denoiser(network, VP.linear(), X0)(x, 0.25)
    assert torch.equal(seen[0][0], x)
    assert seen[0][1].tolist() == [0.25] * 5


def test_clipping_holds_the_clean_estimate_in_range():
    denoise = denoiser(lambda x, _t: x, VP.linear(), X0, clip=(-0.5, 1.0))
    assert denoise(torch.tensor([-2.0, 0.3, 2.0]), 0.5).tolist() == pytest.approx([-0.5, 0.3, 1.0])


def test_edm_scaling_with_unit_data_is_v_prediction():
    """D = c_skip x + c_out F(c_in x) with F = -v, between added-noise and VP coordinates."""
    sde, time = VP.linear(), 0.4
    sigma = sde.sigma(time)
    added = CLEAN + sigma * NORMAL
    scaling = edm_scaling(sigma)
    torch.testing.assert_close(scaling.c_in, sde.signal(time))
    torch.testing.assert_close(scaling.c_in * added, sde.perturb(CLEAN, time, NORMAL))
    output = torch.randn_like(CLEAN)
    edm = scaling.c_skip * added - scaling.c_out * output
    ours = denoiser(lambda _x, _t: output, sde, V)(scaling.c_in * added, time)
    torch.testing.assert_close(edm, ours)


@pytest.mark.parametrize("sigma_data", [0.5, 1.0, 2.0])
def test_edm_scaling_gives_unit_variances_and_the_best_skip(sigma_data):
    sigma = torch.tensor([0.1, 1.0, 10.0], dtype=torch.float64)
    c_skip, c_out, c_in = edm_scaling(sigma, sigma_data)
    total = sigma**2 + sigma_data**2
    torch.testing.assert_close(c_in**2 * total, torch.ones(3).double())
    # The variance of the effective target (x_0 - c_skip x) / c_out, and its minimum over c_skip.
    variance = ((1 - c_skip) * sigma_data) ** 2 + (c_skip * sigma) ** 2
    torch.testing.assert_close(variance / c_out**2, torch.ones(3).double())
    torch.testing.assert_close(c_skip, sigma_data**2 / total)
