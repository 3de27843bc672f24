"""Each code depends on those before it in its block and on no other, and is drawn as likely as it is."""

from __future__ import annotations

import torch

from tests.nets.conftest import shaken
from ultrares.nets.local_autoregression import LocalAutoregression, choose


def _net() -> LocalAutoregression:
    return shaken(LocalAutoregression(5, width=6, layers=2, condition=3), std=0.5)


def _given(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    codes = torch.randint(5, (1, 8, 8), generator=generator)
    return codes, torch.rand(1, 3, 8, 8, dtype=torch.float64, generator=generator)


def test_a_code_matters_to_exactly_those_after_it_in_its_block() -> None:
    net = _net()
    codes, condition = _given()
    before = net(codes, condition)
    for index in range(16):
        row, col = 4 + index // 4, index % 4
        changed = codes.clone()
        changed[0, row, col] = (changed[0, row, col] + 1) % 5
        moved = (net(changed, condition) != before).any(dim=1)[0]
        expected = torch.zeros(8, 8, dtype=torch.bool)
        expected[4:, :4] = (torch.arange(16) > index).view(4, 4)
        assert torch.equal(moved, expected), f"code {index}"


def test_the_condition_matters_within_its_block_only() -> None:
    net = _net()
    codes, condition = _given()
    changed = condition.clone()
    changed[..., 0, 5] += 1.0
    moved = (net(codes, changed) != net(codes, condition)).any(dim=1)[0]
    assert moved[0, 5]
    assert not moved[4:].any()
    assert not moved[:, :4].any()


def test_drawn_codes_are_what_the_numbers_stand_for_given_those_before() -> None:
    """Teacher forcing: with the drawn codes shown at once, each inverts its own distribution."""
    net = _net()
    _, condition = _given(1)
    uniform = torch.rand(
        1, 1, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(2)
    )
    codes = net.draw(condition, uniform, threshold=0.0)
    shares = net(codes, condition).float().softmax(dim=1)
    heights = shares.cumsum(dim=1)
    expected = (heights <= uniform).sum(dim=1).clamp(max=4)
    assert torch.equal(codes, expected)
    assert len(set(codes.flatten().tolist())) > 2
    # A block is a pure function of what stands in it.
    part = net.draw(condition[..., 4:, :4], uniform[..., 4:, :4], threshold=0.0)
    assert torch.equal(part, codes[..., 4:, :4])


def test_choices_follow_the_shares_above_the_threshold() -> None:
    shares = torch.tensor([[0.5, 0.04, 0.3, 0.16]]).expand(1000, -1)
    uniform = (torch.arange(1000) + 0.5) / 1000
    counts = choose(shares.log(), uniform, 0.05).bincount(minlength=4)
    kept = torch.tensor([0.5, 0.0, 0.3, 0.16])
    assert (counts - 1000 * kept / kept.sum()).abs().max() <= 1
    # The likeliest is drawn even where all are rare.
    rare = torch.tensor([[0.2, 0.3, 0.25, 0.25]]).log()
    assert choose(rare, torch.tensor([0.999]), 0.9).item() == 1
    assert choose(shares[:1].log(), torch.ones(1), 0.0).item() == 3
