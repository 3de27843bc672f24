"""Forward processes against their own differential equations and their closed forms."""

import math

import pytest
import torch

from ultrares.diffusion import (
    VP,
    CosineDecay,
    LinearDecay,
    MeanReverting,
    TableDecay,
    cosine_betas,
    cosine_thetas,
    linear_betas,
)

DECAYS = {
    "linear": LinearDecay(),
    "cosine": CosineDecay(),
    "discrete": TableDecay.from_betas(linear_betas(1000)),
    "ir-sde": TableDecay(cosine_thetas()),
}


@pytest.fixture(params=list(DECAYS))
def decay(request):
    return DECAYS[request.param]


def test_the_rate_integrates_to_the_integral(decay):
    # The rectangle rule is exact for a table where cells end at whole times; fine for the others.
    cells = 100_000
    width = decay.end * 0.9 / cells
    middles = (torch.arange(cells, dtype=torch.float64) + 0.5) * width
    total = decay.rate(middles).sum() * width
    torch.testing.assert_close(total, decay.integral(decay.end * 0.9), rtol=1e-6, atol=0)


def test_integral_and_time_invert_each_other(decay):
    times = torch.linspace(0, decay.end, 37, dtype=torch.float64)
    assert decay.integral(0.0) == 0
    torch.testing.assert_close(decay.time(decay.integral(times)), times, rtol=1e-9, atol=1e-9)


def test_sigma_and_time_invert_each_other(decay):
    sde = MeanReverting(torch.zeros(1), 0.2, decay)
    times = torch.linspace(0, decay.end, 11, dtype=torch.float64)
    torch.testing.assert_close(sde.sigma(times), sde.noise(times) / sde.signal(times))
    torch.testing.assert_close(sde.time(sde.sigma(times)), times, rtol=1e-9, atol=1e-9)


def test_shapes_follow_the_times(decay):
    sde = VP(decay)
    times = torch.rand(3, 1, 2, dtype=torch.float64) * decay.end
    for value in (sde.signal(times), sde.noise(times), sde.diffusion(times), decay.time(times)):
        assert value.shape == times.shape
        assert value.dtype == torch.float64
    assert sde.signal(0.5 * decay.end).shape == ()


@pytest.mark.parametrize("betas", [linear_betas(50), cosine_betas(50)], ids=["linear", "cosine"])
def test_a_discrete_process_has_the_alpha_bar_of_its_betas(betas):
    sde = VP.discrete(betas)
    alpha_bar = torch.cumprod(1 - betas, 0)
    times = torch.arange(1, 51)
    torch.testing.assert_close(sde.signal(times), alpha_bar.sqrt())
    torch.testing.assert_close(sde.noise(times), (1 - alpha_bar).sqrt())
    assert sde.end == 50


def test_the_linear_process_has_its_closed_form():
    t, sde = 0.3, VP.linear(0.1, 20.0)
    alpha_bar = math.exp(-(0.1 * t + 0.5 * 19.9 * t * t))
    assert sde.signal(t).item() == pytest.approx(math.sqrt(alpha_bar))
    assert sde.noise(t).item() == pytest.approx(math.sqrt(1 - alpha_bar))


def test_the_cosine_process_has_its_closed_form():
    def squared(t: float) -> float:
        return math.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2

    sde = VP.cosine()
    assert sde.signal(0.6).item() ** 2 == pytest.approx(squared(0.6) / squared(0.0))
    assert sde.sigma(sde.end).item() == pytest.approx(119, abs=1)


def test_noise_keeps_its_digits_close_to_time_zero():
    t = 1e-9
    assert VP.linear().noise(t).item() == pytest.approx(math.sqrt(0.1 * t), rel=1e-6)


@pytest.mark.parametrize("mode", ["vp", "mean-reverting"])
def test_marginals_solve_the_moment_equations(mode):
    """dm/dt = drift(m) and dv/dt = -2 theta v + g^2, integrated with the midpoint rule."""
    mu = torch.tensor([0.7], dtype=torch.float64)
    sde = VP.linear() if mode == "vp" else MeanReverting(mu, 0.2, LinearDecay())
    clean = torch.tensor([-0.4], dtype=torch.float64)
    mean, variance, steps = clean, torch.zeros(()), 2000
    for i in range(steps):
        time, width = (i + 0.5) / steps, 1 / steps
        theta = sde.decay.rate(time)
        half = mean + sde.drift(mean, time) * width / 2
        mean = mean + sde.drift(half, time) * width
        growth = sde.diffusion(time) ** 2
        halfway = variance + (growth - 2 * theta * variance) * width / 2
        variance = variance + (growth - 2 * theta * halfway) * width
    torch.testing.assert_close(sde.mean(clean, 1.0), mean, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(sde.noise(1.0), variance.sqrt(), rtol=1e-4, atol=0)


def test_the_ir_sde_has_its_published_marginal():
    mu, clean = torch.rand(2, 3, dtype=torch.float64), torch.rand(2, 3, dtype=torch.float64)
    lam, theta = 50 / 255, cosine_thetas().cumsum(0)
    sde = MeanReverting.cosine(mu, lam)
    assert sde.end == 100
    for t in (1, 37, 100):
        left = torch.exp(-theta[t - 1])
        torch.testing.assert_close(sde.mean(clean, t), mu + (clean - mu) * left)
        torch.testing.assert_close(sde.noise(t), lam * torch.sqrt(1 - left**2))
        torch.testing.assert_close(
            sde.diffusion(t) ** 2, 2 * lam**2 * torch.diff(theta, prepend=theta.new_zeros(1))[t - 1]
        )


def test_the_mean_reverting_process_is_vp_on_the_residual():
    mu, lam = torch.randn(4, 5, dtype=torch.float64), 0.3
    clean, normal = torch.randn(4, 5).double(), torch.randn(4, 5).double()
    increments = cosine_thetas()
    ours = MeanReverting(mu, lam, TableDecay(increments))
    # Built from betas, so through other numbers: beta = 1 - exp(-2 theta).
    vp = VP.discrete(-torch.expm1(-2 * increments))
    for t in (1, 40.5, 100):
        x = ours.perturb(clean, t, normal)
        torch.testing.assert_close((x - mu) / lam, vp.perturb((clean - mu) / lam, t, normal))
        torch.testing.assert_close(ours.drift(x, t), lam * vp.drift((x - mu) / lam, t))
        torch.testing.assert_close(ours.diffusion(t), lam * vp.diffusion(t))
    torch.testing.assert_close(ours.prior(normal), mu + lam * vp.prior(normal))


def test_a_process_keeps_the_type_of_its_state():
    x = torch.randn(2, 3, 4, 4)
    times = torch.tensor([0.2, 0.9]).reshape(2, 1, 1, 1)
    sde = VP.linear()
    assert sde.perturb(x, times, x).dtype == sde.drift(x, times).dtype == torch.float32
