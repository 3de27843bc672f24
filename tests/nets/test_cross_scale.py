"""The cross-scale pyramid and the high-frequency restoration: structure, locality, and what is silent."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from tests.nets.conftest import shaken
from ultrares.nets.cross_scale_pyramid import CrossScalePyramid
from ultrares.nets.high_frequency import HighFrequency
from ultrares.nets.layers import ProgressiveDilation, WindowCrossAttention

CONTEXT = torch.tensor([[0.3, 0.5]], dtype=torch.float64)


def rand(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).double()


def test_attention_is_softmax_of_scaled_products_within_a_window() -> None:
    layer = shaken(WindowCrossAttention(6, heads=2, window=4), std=0.5)
    features, source = rand(1, 6, 8, 4), rand(1, 6, 8, 4, seed=1)
    query = layer.query(layer.query_norm(features))[0, :, 4:]
    key, value = layer.key_value(layer.source_norm(source))[0, :, 4:].chunk(2)
    place, head = (2, 1), slice(3, 6)
    scores = torch.stack(
        [
            (query[head, place[0], place[1]] * key[head, y, x]).sum() / 3**0.5
            + layer.position[1, (place[0] - y + 3) * 7 + place[1] - x + 3]
            for y in range(4)
            for x in range(4)
        ]
    )
    mixed = (scores.softmax(0) * value[head].flatten(1)).sum(dim=1)
    # The output projection, with the other head's share recovered by blanking this head's columns.
    whole = layer(features, source)[0, :, 4 + place[0], place[1]]
    weight = layer.out.weight[:, :, 0, 0]
    other = shaken(WindowCrossAttention(6, heads=2, window=4), std=0.5)
    other.out.weight[:, head] = 0
    rest = other(features, source)[0, :, 4 + place[0], place[1]]
    torch.testing.assert_close(whole - rest, weight[:, head] @ mixed)


def test_windows_do_not_see_each_other() -> None:
    layer = shaken(WindowCrossAttention(4, heads=2, window=4), std=0.5)
    features, source = rand(1, 4, 8, 8), rand(1, 4, 8, 8, seed=1)
    before = layer(features, source)
    source[:, 0, 5, 2] += 1
    changed = (layer(features, source) - before).abs().amax(dim=(0, 1)) > 1e-12
    assert bool(changed[4:, :4].all())
    assert not bool(changed[:4].any())
    assert not bool(changed[:, 4:].any())


def test_dilation_reaches_nine_pixels() -> None:
    block = shaken(ProgressiveDilation(3))
    features = rand(1, 3, 31, 31)
    before = block(features)
    features[..., 15, 15] += 1
    changed = ((block(features) - before).abs().amax(dim=(0, 1)) > 0).nonzero()
    assert (changed - 15).abs().max() == ProgressiveDilation.REACH == 9


def _pyramid(guide: Tensor, reference: Tensor) -> Tensor:
    net = shaken(CrossScalePyramid(width=12, heads=3, blocks=1, window=4))
    return net(guide, reference, torch.ones_like(guide[:, :1]), CONTEXT)


def _details(guide: Tensor, condition: Tensor) -> Tensor:
    net = shaken(HighFrequency(width=12, heads=3, window=4))
    known = F.avg_pool2d(guide[:, :9], 2)
    return net(guide, condition[:, :9], known, CONTEXT)


HALOS: dict[Callable[[Tensor, Tensor], Tensor], int] = {
    _pyramid: CrossScalePyramid(width=12, heads=3, blocks=1, window=4).halo,
    _details: HighFrequency(width=12, heads=3, window=4).halo,
}


@pytest.mark.parametrize("net", [_pyramid, _details])
def test_a_window_equals_the_crop_where_its_halo_lies_inside(
    net: Callable[[Tensor, Tensor], Tensor],
) -> None:
    guide, other = rand(1, 15, 96, 80), rand(1, 12, 96, 80, seed=1)
    whole = net(guide, other)
    part = net(guide[..., 8:, :], other[..., 8:, :])
    halo = HALOS[net]
    torch.testing.assert_close(whole[..., 8 + halo :, :], part[..., halo:, :], atol=1e-10, rtol=0)
    assert not torch.allclose(whole[..., 8:10, :], part[..., :2, :], atol=1e-6)


def test_conditions_vanish_where_the_reference_is_not_valid() -> None:
    net = shaken(CrossScalePyramid(width=12, heads=3, window=4))
    valid = torch.ones(1, 1, 32, 32).double()
    valid[..., :9, :] = 0
    tau = net(rand(1, 15, 32, 32), rand(1, 12, 32, 32, seed=1), valid, CONTEXT)
    assert torch.equal(tau[..., :9, :], torch.zeros_like(tau[..., :9, :]))
    assert bool((tau[..., 9:, :] != 0).all())


def test_what_is_not_valid_cannot_be_seen() -> None:
    net = shaken(CrossScalePyramid(width=12, heads=3, window=4))
    valid = torch.ones(1, 1, 32, 32).double()
    valid[..., 10:20, 10:20] = 0
    reference = rand(1, 12, 32, 32, seed=1)
    guide = rand(1, 15, 32, 32)
    before = net(guide, reference, valid, CONTEXT)
    reference[..., 10:20, 10:20] = 77.0
    assert torch.equal(net(guide, reference, valid, CONTEXT), before)


@pytest.mark.parametrize("heads", [8, 12, 16])
def test_the_paper_s_numbers_of_heads_are_possible(heads: int) -> None:
    net = CrossScalePyramid(width=96, heads=heads)
    assert sum(p.numel() for p in net.parameters()) > 0
    tau = net(
        torch.rand(1, 15, 16, 16),
        torch.rand(1, 12, 16, 16),
        torch.ones(1, 1, 16, 16),
        CONTEXT.float(),
    )
    assert tau.shape == (1, 12, 16, 16)


def test_later_blocks_begin_as_almost_nothing() -> None:
    """So that a deeper pyramid can go on from a shallower one."""
    torch.manual_seed(0)
    features, reference = torch.rand(2, 1, 24, 16, 16)
    first, *later = CrossScalePyramid(width=24, heads=3, blocks=3).eval().blocks
    changes = [(block(features, reference) - features).abs().max() for block in (first, *later)]
    assert changes[0] > 0.1
    assert max(changes[1:]) < 0.05


def test_fresh_modules_change_little() -> None:
    """An untrained module must not spoil what the backbone restored."""
    guide = torch.rand(1, 15, 32, 32)
    details = HighFrequency(width=24, heads=3)
    lacking = details(guide, torch.zeros(1, 9, 32, 32), torch.rand(1, 9, 16, 16), CONTEXT.float())
    assert torch.equal(lacking, torch.zeros_like(lacking))
