"""Losses: their equivalences, their minima, and the distribution of noise levels."""

import math

import pytest
import torch
from torch import Tensor

from ultrares.diffusion import (
    EPS,
    SDE,
    VP,
    X0,
    MeanReverting,
    V,
    denoising_loss,
    edm_weight,
    ir_sde_loss,
    lognormal_sigmas,
)

CLEAN, NORMAL, MU = torch.randn(3, 6, 2, 4, 4, generator=torch.Generator().manual_seed(1)).double()
PREDICTIONS = pytest.mark.parametrize("prediction", [EPS, V, X0], ids=["eps", "v", "x0"])


def network(x: Tensor, times: Tensor) -> Tensor:
    return torch.tanh(x) * 0.5 + times.reshape(-1, 1, 1, 1) * 1e-3


@pytest.fixture(params=["vp", "mean-reverting"])
def sde(request):
    return VP.linear() if request.param == "vp" else MeanReverting.cosine(MU, 0.2)


def times_of(sde: SDE) -> Tensor:
    return torch.linspace(0.1, 1.0, len(CLEAN), dtype=torch.float64) * sde.end


@PREDICTIONS
@pytest.mark.parametrize("weight", [None, edm_weight], ids=["plain", "edm"])
def test_a_network_that_is_right_has_no_loss(sde, prediction, weight):
    times = times_of(sde)
    at = times.reshape(-1, 1, 1, 1)
    standard = (CLEAN - sde.mu) / sde.lam
    truth = prediction.target(standard, NORMAL, sde.signal(at), sde.noise(at) / sde.lam)
    loss = denoising_loss(
        lambda _x, _t: truth, CLEAN, times, NORMAL, sde, prediction, weight=weight
    )
    assert loss.item() == pytest.approx(0, abs=1e-20)


def test_edm_weight_on_the_clean_signal_is_the_plain_loss_of_a_v_network(sde):
    plain = denoising_loss(network, CLEAN, times_of(sde), NORMAL, sde, V)
    weighted = denoising_loss(network, CLEAN, times_of(sde), NORMAL, sde, V, weight=edm_weight)
    torch.testing.assert_close(plain, weighted)
    assert plain > 0.1


def test_edm_weight_is_its_formula():
    sde = VP.linear()
    sigma = sde.sigma(0.3)
    weight = edm_weight(sde.signal(0.3), sde.noise(0.3))
    torch.testing.assert_close(weight, (sigma**2 + 1) / sigma**2)


def test_each_sample_has_its_own_time():
    times = times_of(VP.linear())
    together = denoising_loss(network, CLEAN, times, NORMAL, VP.linear(), EPS)
    alone = [
        denoising_loss(
            network, CLEAN[i : i + 1], times[i : i + 1], NORMAL[i : i + 1], VP.linear(), EPS
        )
        for i in range(len(CLEAN))
    ]
    torch.testing.assert_close(together, torch.stack(alone).mean())


def test_single_precision_stays_single():
    loss = denoising_loss(
        network, CLEAN.float(), times_of(VP.linear()).float(), NORMAL.float(), VP.linear(), V
    )
    assert loss.dtype == torch.float32


def test_the_loss_is_least_at_the_conditional_mean(gaussian):
    """Fit one gain at one time: the minimum must be the exact denoiser's."""
    data = gaussian(VP.linear(), mean=0.0)
    generator = torch.Generator().manual_seed(4)
    clean, normal = torch.randn(2, 20_000, 1, generator=generator, dtype=torch.float64)
    times = torch.full((20_000,), 0.3)
    gain = torch.zeros((), dtype=torch.float64, requires_grad=True)
    loss = denoising_loss(lambda x, _t: gain * x, clean * data.std, times, normal, data.sde, X0)
    slope = torch.autograd.grad(loss, gain, create_graph=True)[0]
    best = -slope / torch.autograd.grad(slope, gain)[0]
    exact = data.denoise(torch.ones(()).double(), 0.3)
    assert best.item() == pytest.approx(exact.item(), abs=0.01)


def test_the_ir_sde_loss_is_the_paper_formula():
    sde = MeanReverting.cosine(MU, 50 / 255)
    times = torch.tensor([1, 2, 30, 50, 75, 100])
    at = times.reshape(-1, 1, 1, 1)
    theta = sde.decay.rate(at)
    a = torch.exp(-theta)
    b, c = torch.exp(-sde.decay.integral(at)), torch.exp(-sde.decay.integral(at - 1))
    x = sde.perturb(CLEAN, at, NORMAL)
    best = a * (1 - c**2) / (1 - b**2) * (x - MU) + c * (1 - a**2) / (1 - b**2) * (CLEAN - MU) + MU
    score = -network(x, times) / sde.noise(at)
    proposed = x - (theta * (MU - x) - 2 * sde.lam**2 * theta * score)
    loss = ir_sde_loss(network, CLEAN, times, NORMAL, sde, EPS)
    torch.testing.assert_close(loss, (proposed - best).abs().mean())


def test_the_ir_sde_loss_of_the_true_noise_is_small_beside_that_of_none():
    sde = MeanReverting.cosine(MU, 50 / 255)
    times = torch.tensor([2, 10, 30, 50, 75, 100])
    right = ir_sde_loss(lambda _x, _t: NORMAL, CLEAN, times, NORMAL, sde, EPS)
    wrong = ir_sde_loss(lambda _x, _t: 0 * NORMAL, CLEAN, times, NORMAL, sde, EPS)
    assert right < 0.2 * wrong


def test_sigmas_are_log_normal_and_clipped():
    sigmas = lognormal_sigmas(20_001, torch.Generator().manual_seed(0))
    assert sigmas.min() >= 0.02
    assert sigmas.max() == 5.0
    assert sigmas.log().median().item() == pytest.approx(-0.3, abs=1e-3)
    quantile = torch.quantile(sigmas.log(), 0.8413447, interpolation="linear")
    assert quantile.item() == pytest.approx(0.7, abs=1e-3)


def test_every_batch_covers_all_strata_in_random_order():
    generator = torch.Generator().manual_seed(0)
    sigmas = lognormal_sigmas(16, generator, low=1e-9, high=1e9)
    normal = (sigmas.log() + 0.3) / 1.0
    strata = (0.5 * (1 + torch.erf(normal / math.sqrt(2))) * 16).floor().long()
    assert sorted(strata.tolist()) == list(range(16))
    assert strata.tolist() != list(range(16))
    assert not torch.equal(sigmas, lognormal_sigmas(16, generator, low=1e-9, high=1e9))
