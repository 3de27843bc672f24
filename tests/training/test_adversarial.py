"""The relativistic game is its formula, and neither side's gradient is the other's."""

from __future__ import annotations

import pytest
import torch

from ultrares.nets.discriminator import Discriminator
from ultrares.training.adversarial import (
    relativistic_game,
    relativistic_loss,
    without_gradient,
)


def test_the_loss_is_its_formula() -> None:
    torch.manual_seed(0)
    real, fake = torch.randn(5, 1).double(), torch.randn(5, 1).double()
    above = torch.sigmoid(real - fake.mean())
    below = torch.sigmoid(fake - real.mean())
    expected = -above.log().mean() - (1 - below).log().mean()
    torch.testing.assert_close(relativistic_loss(real, fake), expected)
    # Equal verdicts leave both sides undecided: two times ln 2.
    flat = torch.zeros(3, 1)
    torch.testing.assert_close(
        relativistic_loss(flat, flat).item(), 2 * torch.tensor(2.0).log().item()
    )
    assert relativistic_loss(flat + 9, flat) < 0.01 < relativistic_loss(flat, flat + 9)


@pytest.mark.parametrize("spectral", [False, True])
def test_each_side_learns_from_its_own_loss_only(*, spectral: bool) -> None:
    torch.manual_seed(0)
    net = Discriminator(width=4, stages=2, spectral=spectral)
    real, fake = torch.rand(4, 3, 16, 16), torch.rand(4, 3, 16, 16, requires_grad=True)
    game = relativistic_game(net, real, fake)
    game.generator.backward()  # type: ignore[no-untyped-call]
    assert fake.grad is not None
    assert fake.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in net.parameters())
    fake.grad = None
    game.discriminator.backward()  # type: ignore[no-untyped-call]
    assert fake.grad is None
    assert all(parameter.grad is not None for parameter in net.parameters())


def test_a_frozen_weight_stays_frozen() -> None:
    net = torch.nn.Linear(2, 2)
    net.bias.requires_grad = False
    with without_gradient(net):
        inside = [parameter.requires_grad for parameter in net.parameters()]
    after = [parameter.requires_grad for parameter in net.parameters()]
    assert (inside, after) == ([False, False], [True, False])


@pytest.mark.parametrize("spectral", [False, True])
def test_a_discriminator_learns_to_tell(*, spectral: bool) -> None:
    torch.manual_seed(0)
    net = Discriminator(width=4, stages=2, spectral=spectral)
    adam = torch.optim.Adam(net.parameters(), lr=1e-2)
    first = None
    for _ in range(12):
        real, fake = 0.4 + 0.2 * torch.rand(8, 3, 16, 16), torch.rand(8, 3, 16, 16)
        loss = relativistic_game(net, real, fake).discriminator
        first = first or loss.item()
        adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        adam.step()
    assert first is not None
    assert loss.item() < 0.5 * first
