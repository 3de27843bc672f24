"""Projection guidance: the projected part is replaced exactly, the rest untouched."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from ultrares.diffusion import VP, MeanReverting, ancestral, projection, uniform_times
from ultrares.diffusion.guidance import NOISE_TICKS


def block_mean(x: Tensor) -> Tensor:
    """An idempotent projector that the diffusion package knows nothing of."""
    return (
        x.reshape(*x.shape[:-1], -1, 4)
        .mean(-1, keepdim=True)
        .expand(*x.shape[:-1], -1, 4)
        .reshape(x.shape)
    )


STATE, TAU, MU = torch.randn(3, 2, 16, generator=torch.Generator().manual_seed(2)).double()


def keyed(step: int) -> Tensor:
    return torch.randn(2, 16, generator=torch.Generator().manual_seed(step), dtype=torch.float64)


@pytest.fixture(params=["vp", "mean-reverting"])
def sde(request):
    return VP.linear() if request.param == "vp" else MeanReverting.cosine(MU, 0.2)


def test_the_projected_part_is_the_noised_condition_and_the_rest_is_kept(sde):
    time = 0.5 * sde.end
    result = projection(TAU, block_mean, sde, keyed)(STATE, time)
    noised = sde.mu + sde.signal(time) * (TAU - sde.mu) + sde.noise(time) * keyed(NOISE_TICKS // 2)
    torch.testing.assert_close(block_mean(result), block_mean(noised), rtol=0, atol=1e-14)
    kept, before = result - block_mean(result), STATE - block_mean(STATE)
    torch.testing.assert_close(kept, before, rtol=0, atol=1e-14)


def test_the_state_is_left_alone_from_the_stop_on(sde):
    hook = projection(TAU, block_mean, sde, keyed, stop=0.3)
    assert torch.equal(hook(STATE, 0.3 * sde.end), STATE)
    assert torch.equal(hook(STATE, 0.0), STATE)
    assert not torch.equal(hook(STATE, 0.31 * sde.end), STATE)


def test_down_to_time_zero_the_result_meets_the_condition(gaussian):
    data = gaussian(VP.linear())
    hook = projection(TAU, block_mean, data.sde, keyed, stop=-1.0)
    x = ancestral(data.denoise, STATE, uniform_times(1.0, 10), data.sde, keyed, project=hook)
    torch.testing.assert_close(block_mean(x), block_mean(TAU), rtol=0, atol=1e-14)


def test_the_noise_is_a_function_of_the_time_alone():
    asked = []

    def noise(step):
        asked.append(step)
        return keyed(step)

    hook = projection(TAU, block_mean, VP.discrete(torch.full((1000,), 0.01)), noise)
    for time in (999.0, 998.0, 999.0, 150.0):
        hook(STATE, time)
    assert asked[0] == asked[2]
    assert len(set(asked)) == 3
    assert min(asked) > 100_000


def test_a_resizing_filter_gives_ilvr():
    """x <- x' - P(x') + P(q(tau, t)), Choi et al. 2021, Algorithm 1."""

    def filtered(x: Tensor) -> Tensor:
        small = F.interpolate(x[:, None], scale_factor=0.25, mode="linear", antialias=False)
        return F.interpolate(small, size=x.shape[-1], mode="linear")[:, 0]

    sde, time = VP.linear(), 0.7
    noised = sde.perturb(TAU, time, keyed(round(time * NOISE_TICKS)))
    expected = STATE - filtered(STATE) + filtered(noised)
    torch.testing.assert_close(projection(TAU, filtered, sde, keyed)(STATE, time), expected)
