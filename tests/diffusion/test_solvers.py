"""Solvers against closed forms, claimed orders and diffusers' schedulers."""

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ultrares.diffusion import (
    EPS,
    SDE,
    VP,
    MeanReverting,
    Solver,
    ancestral,
    cosine_thetas,
    ddim,
    denoiser,
    dpmpp_2m,
    ir_sde_posterior,
    linear_betas,
    log_sigmas,
    posterior,
    reverse_euler,
    uniform_times,
)
from ultrares.types import NoiseSource

diffusers = pytest.importorskip("diffusers")

STOCHASTIC: dict[str, Solver] = {
    "reverse_euler": reverse_euler,
    "ancestral": ancestral,
    "ddim_half": partial(ddim, eta=0.5),
    "ir_sde_posterior": ir_sde_posterior,
}
DETERMINISTIC: dict[str, Solver] = {"ddim": ddim, "dpmpp_2m": dpmpp_2m}
SOLVERS = STOCHASTIC | DETERMINISTIC


def process(name: str) -> SDE:
    if name == "vp":
        return VP.linear()
    return MeanReverting.cosine(torch.tensor(-0.3, dtype=torch.float64), 0.8)


def silent(step: int) -> Tensor:
    raise AssertionError(f"a deterministic solver asked for noise at step {step}")


@pytest.mark.parametrize("sde", ["vp", "mean-reverting"])
@pytest.mark.parametrize("name", SOLVERS)
def test_every_solver_ends_in_the_data_distribution(name, sde, gaussian):
    data = gaussian(process(sde))
    mean, std = data.law(SOLVERS[name], uniform_times(data.sde.end, 400))
    assert mean == pytest.approx(data.mean, abs=5e-3)
    assert std == pytest.approx(data.std, rel=0.025)


@pytest.mark.parametrize("name", SOLVERS)
def test_samples_have_the_right_moments(name, gaussian):
    data, count = gaussian(VP.linear()), 20_000
    generator = torch.Generator().manual_seed(3)

    def normal(_step: int = 0) -> Tensor:
        return torch.randn(count, generator=generator, dtype=torch.float64)

    x = data.sde.prior(normal())
    times = uniform_times(data.sde.end, 200)
    x = SOLVERS[name](data.denoise, x, times, data.sde, normal)
    error = data.std / count**0.5
    # Four standard errors, and what 200 first-order steps are off.
    assert x.mean().item() == pytest.approx(data.mean, abs=4 * error + 0.005)
    assert x.std().item() == pytest.approx(data.std, abs=4 * error + 0.02)


@pytest.mark.parametrize("sde", ["vp", "mean-reverting"])
@pytest.mark.parametrize("name", DETERMINISTIC)
def test_deterministic_solvers_follow_the_probability_flow(name, sde, gaussian):
    data = gaussian(process(sde))
    start, stop = 0.9 * data.sde.end, 0.1 * data.sde.end
    x = torch.linspace(-2, 2, 9, dtype=torch.float64)
    times = data.sde.time(
        log_sigmas(float(data.sde.sigma(start)), float(data.sde.sigma(stop)), 400)
    )
    result = DETERMINISTIC[name](data.denoise, x, times[:-1], data.sde, silent)
    torch.testing.assert_close(result, data.flow(x, start, stop), rtol=0, atol=1e-2)


def order(errors: list[float], counts: list[int]) -> float:
    return -float(np.polyfit(np.log(counts), np.log(errors), 1)[0])


@pytest.mark.parametrize("name", ["reverse_euler", "ancestral"])
def test_weak_order_one_of_the_stochastic_solvers(name, gaussian):
    data, counts = gaussian(VP.linear()), [100, 200, 400, 800]
    laws = [data.law(SOLVERS[name], uniform_times(1.0, count, 0.01)) for count in counts]
    mean, std = data.marginal(0.01)
    assert order([abs(law[1] - std) for law in laws], counts) == pytest.approx(1, abs=0.15)
    if name == "ancestral":
        # Its posterior is exact for the mean of affine data.
        assert all(law[0] == pytest.approx(mean, abs=1e-9) for law in laws)
    else:
        assert order([abs(law[0] - mean) for law in laws], counts) == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize(("name", "claimed"), [("ddim", 1), ("dpmpp_2m", 2)])
def test_order_of_the_deterministic_solvers(name, claimed, gaussian):
    data, counts = gaussian(VP.linear()), [40, 80, 160, 320]
    sde, x = data.sde, torch.tensor([1.3], dtype=torch.float64)
    high, low = float(sde.sigma(0.7)), float(sde.sigma(0.1))
    errors = []
    for count in counts:
        times = sde.time(log_sigmas(high, low, count + 1))[:-1]
        result = SOLVERS[name](data.denoise, x, times, sde, silent)
        errors.append(abs((result - data.flow(x, 0.7, 0.1)).item()))
    assert order(errors, counts) == pytest.approx(claimed, abs=0.15)


@pytest.mark.parametrize("name", SOLVERS)
def test_the_last_step_to_zero_returns_the_clean_estimate(name):
    mu = torch.randn(4)
    sde = MeanReverting.cosine(mu, 0.1)
    answers = []

    def denoise(x, time):
        answers.append(torch.sin(x + time))
        return answers[-1]

    result = SOLVERS[name](
        denoise, torch.randn(4), uniform_times(100, 5), sde, lambda _step: torch.randn(4)
    )
    assert torch.equal(result, answers[-1])


@pytest.mark.parametrize("name", SOLVERS)
def test_the_hook_is_called_after_every_step_with_the_reached_time(name, gaussian):
    data, reached = gaussian(VP.linear()), []

    def project(x, time):
        reached.append(time)
        return torch.full_like(x, 7.0)

    x = torch.zeros(3, dtype=torch.float64)
    times = uniform_times(1.0, 4)
    result = SOLVERS[name](
        data.denoise, x, times, data.sde, lambda _step: torch.zeros(3), project=project
    )
    assert reached == [0.75, 0.5, 0.25, 0.0]
    assert result.tolist() == [7.0] * 3


@pytest.mark.parametrize("name", STOCHASTIC)
def test_noise_is_asked_for_by_step_index(name, gaussian):
    data, asked = gaussian(VP.linear()), []

    def noise(step):
        asked.append(step)
        return torch.zeros(1)

    SOLVERS[name](data.denoise, torch.zeros(1), uniform_times(1.0, 4), data.sde, noise)
    assert asked == [0, 1, 2]


@pytest.mark.parametrize("name", SOLVERS)
def test_the_state_keeps_its_type(name, gaussian):
    data = gaussian(VP.linear())
    times = uniform_times(1.0, 3, 0.2)
    result = SOLVERS[name](
        data.denoise, torch.ones(2), times, data.sde, lambda _step: torch.ones(2)
    )
    assert result.dtype == torch.float32


def test_times_must_fall(gaussian):
    data = gaussian(VP.linear())
    with pytest.raises(AssertionError, match="fall"):
        ddim(data.denoise, torch.zeros(1), torch.tensor([0.5, 0.6]), data.sde, silent)


@pytest.mark.parametrize("t", [2, 40, 100])
def test_the_posterior_integrates_to_the_marginal(t):
    """If x_t ~ q(x_t | x_0), then a draw of x_{t-1} from the posterior has its own marginal."""
    mu, clean = torch.randn(6, dtype=torch.float64), torch.randn(6, dtype=torch.float64)
    sde = MeanReverting.cosine(mu, 0.2)
    step = posterior(sde.signal(t), sde.noise(t), sde.signal(t - 1), sde.noise(t - 1))
    mean = mu + step.state * (sde.mean(clean, t) - mu) + step.clean * (clean - mu)
    torch.testing.assert_close(mean, sde.mean(clean, t - 1))
    variance = (step.state * sde.noise(t)) ** 2 + step.std**2
    torch.testing.assert_close(variance.sqrt(), sde.noise(t - 1))


def test_the_posterior_step_is_the_ir_sde_paper_formula():
    generator = torch.Generator().manual_seed(0)
    mu, x, guess, z = torch.randn(4, 8, generator=generator, dtype=torch.float64)
    lam, t, theta = 0.2, 60, cosine_thetas()
    a, b = torch.exp(-theta[t - 1]), torch.exp(-theta[:t].sum())
    c = torch.exp(-theta[: t - 1].sum())
    mean = a * (1 - c**2) / (1 - b**2) * (x - mu) + c * (1 - a**2) / (1 - b**2) * (guess - mu) + mu
    expected = mean + lam * torch.sqrt((1 - a**2) * (1 - c**2) / (1 - b**2)) * z
    sde, times = MeanReverting.cosine(mu, lam), torch.tensor([60, 59])
    ours = ir_sde_posterior(lambda _x, _t: guess, x, times, sde, lambda _step: z)
    torch.testing.assert_close(ours, expected)


# --- diffusers as oracle -------------------------------------------------------------------------

BETAS = linear_betas(1000)


def epsilon(x: Tensor, time: float | Tensor) -> Tensor:
    """Some network; diffusers counts its timesteps from 0, our clock from 1."""
    return torch.tanh(x + time / 500) * 0.8


def exact(scheduler: Any) -> Any:
    """Replace the scheduler's single-precision tables by double ones."""
    scheduler.betas = BETAS
    scheduler.alphas = 1 - BETAS
    scheduler.alphas_cumprod = torch.cumprod(1 - BETAS, 0)
    scheduler.one = torch.tensor(1.0, dtype=torch.float64)
    if hasattr(scheduler, "final_alpha_cumprod"):
        scheduler.final_alpha_cumprod = scheduler.one
    return scheduler


def theirs(scheduler: Any, x: Tensor, steps: int, **kwargs: Any) -> Tensor:
    scheduler.set_timesteps(steps)
    for timestep in scheduler.timesteps:
        guess = epsilon(x, float(timestep) + 1)
        x = scheduler.step(guess, timestep, x, **kwargs).prev_sample
    return x


def ours(solver: Solver, scheduler: Any, x: Tensor, noise: NoiseSource) -> Tensor:
    sde = VP.discrete(BETAS)
    denoise = denoiser(lambda x, t: epsilon(x, t[0]), sde, EPS)
    times = torch.cat((scheduler.timesteps.double() + 1, torch.zeros(1).double()))
    return solver(denoise, x, times, sde, noise)


def replay(seed: int, shape: torch.Size) -> NoiseSource:
    """The noise that a diffusers scheduler draws from a generator, by step."""
    generator = torch.Generator().manual_seed(seed)
    drawn: list[Tensor] = []

    def noise(step: int) -> Tensor:
        while len(drawn) <= step:
            drawn.append(torch.randn(shape, generator=generator, dtype=torch.float64))
        return drawn[step]

    return noise


@pytest.mark.parametrize("steps", [10, 50])
def test_ancestral_equals_diffusers_ddpm(steps):
    scheduler = exact(diffusers.DDPMScheduler(clip_sample=False))
    x = torch.randn(2, 5, dtype=torch.float64)
    expected = theirs(scheduler, x, steps, generator=torch.Generator().manual_seed(5))
    torch.testing.assert_close(ours(ancestral, scheduler, x, replay(5, x.shape)), expected)


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_ddim_equals_diffusers_ddim(eta):
    scheduler = exact(diffusers.DDIMScheduler(clip_sample=False))
    x = torch.randn(2, 5, dtype=torch.float64)
    generator = torch.Generator().manual_seed(5)
    expected = theirs(scheduler, x, 20, eta=eta, generator=generator)
    solver = partial(ddim, eta=eta)
    torch.testing.assert_close(ours(solver, scheduler, x, replay(5, x.shape)), expected)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # in diffusers
@pytest.mark.parametrize("steps", [8, 20])
def test_dpmpp_2m_equals_diffusers_dpm_solver(steps):
    scheduler = exact(
        diffusers.DPMSolverMultistepScheduler(
            solver_order=2, algorithm_type="dpmsolver++", final_sigmas_type="zero"
        )
    )
    x = torch.randn(2, 5, dtype=torch.float64)
    expected = theirs(scheduler, x, steps)
    # diffusers keeps its sigmas in single precision.
    torch.testing.assert_close(ours(dpmpp_2m, scheduler, x, silent), expected, rtol=1e-5, atol=1e-5)
