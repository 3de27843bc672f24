from __future__ import annotations

import torch
from torch.distributions import Normal, kl_divergence

from ultrares.nets.gaussian import Gaussian


def test_the_divergence_is_the_closed_form_of_another_implementation() -> None:
    torch.manual_seed(0)
    code = Gaussian.stacked(torch.randn(3, 8, 2, 2))
    theirs = kl_divergence(
        Normal(code.mean, (0.5 * code.log_variance).exp()), Normal(torch.zeros(()), torch.ones(()))
    )
    torch.testing.assert_close(code.divergence(), theirs.mean())
    standard = Gaussian(torch.zeros(4), torch.zeros(4))
    assert standard.divergence().item() == 0


def test_draws_have_the_mean_and_the_deviation() -> None:
    code = Gaussian(torch.tensor([2.0]), torch.tensor([9.0]).log())
    assert code.at(torch.tensor([-1.0, 0.0, 1.0])).tolist() == [-1.0, 2.0, 5.0]
