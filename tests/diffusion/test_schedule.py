"""Schedules against published values and diffusers."""

import pytest
import torch

from ultrares.diffusion import (
    cosine_betas,
    cosine_thetas,
    karras_sigmas,
    linear_betas,
    log_sigmas,
    uniform_times,
)

diffusers = pytest.importorskip("diffusers")


def test_linear_betas_match_diffusers():
    theirs = diffusers.DDPMScheduler(num_train_timesteps=200, beta_start=1e-4, beta_end=2e-2).betas
    torch.testing.assert_close(linear_betas(200).float(), theirs)


def test_linear_betas_have_the_known_terminal_alpha_bar():
    # DiffLL's 200 steps end far from noise; NeurOp-Diff's 2000 do not (science.md 2.2 and 3.3).
    assert torch.prod(1 - linear_betas(200, 1e-4, 2e-2)).item() == pytest.approx(0.132, abs=5e-4)
    assert torch.prod(1 - linear_betas(2000, 1e-6, 1e-2)).item() == pytest.approx(4.4e-5, abs=1e-6)


def test_cosine_betas_match_diffusers():
    scheduler = diffusers.DDPMScheduler(num_train_timesteps=100, beta_schedule="squaredcos_cap_v2")
    torch.testing.assert_close(cosine_betas(100).float(), scheduler.betas)


def test_cosine_thetas_forget_as_the_ir_sde_does():
    left = torch.exp(-cosine_thetas(100, 0.005).cumsum(0))
    known = {1: 0.9998, 25: 0.853, 50: 0.361, 75: 0.059, 100: 0.005}
    for step, value in known.items():
        digits = 5e-5 if step == 1 else 6e-4
        assert left[step - 1].item() == pytest.approx(value, abs=digits)
    assert left[-1].item() == pytest.approx(0.005, rel=1e-12)


def test_uniform_times_are_whole_where_the_steps_divide():
    assert uniform_times(1000, 4).tolist() == [1000, 750, 500, 250, 0]
    assert uniform_times(1, 2, 0.5).tolist() == [1, 0.75, 0.5]


def test_log_sigmas_fall_by_equal_factors_to_zero():
    assert log_sigmas(8, 1, 4).tolist() == pytest.approx([8, 4, 2, 1, 0])


def test_karras_sigmas_match_diffusers():
    scheduler = diffusers.EDMEulerScheduler(sigma_min=0.02, sigma_max=5.0)
    scheduler.set_timesteps(7)
    torch.testing.assert_close(karras_sigmas(5.0, 0.02, 7).float(), scheduler.sigmas)
