"""The generator of ESRGAN has the published size and sees what it says."""

from __future__ import annotations

import pytest
import torch

from tests.nets.conftest import shaken
from ultrares.nets.rrdb import DenseBlock, RRDBNet


def test_the_default_has_the_weights_of_the_published_generator() -> None:
    with torch.device("meta"):
        net = RRDBNet()
    assert sum(parameter.numel() for parameter in net.parameters()) == 16_697_987


def test_a_dense_block_is_its_formula() -> None:
    block = shaken(DenseBlock(3, 2))
    x = torch.rand(1, 3, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    known = x
    for convolution in block.convolutions[:-1]:
        hidden = convolution(known)
        known = torch.cat([known, hidden.clamp(min=0) + 0.2 * hidden.clamp(max=0)], dim=1)
    torch.testing.assert_close(block(x), x + 0.2 * block.convolutions[-1](known))


@pytest.mark.parametrize("scale", [2, 4])
def test_it_sees_exactly_its_reach(scale: int) -> None:
    net = shaken(RRDBNet(scales=(2, 4), width=4, growth=2, blocks=1))
    reach = net.reach(scale)
    image = torch.rand(1, 3, 3, 61, dtype=torch.float64, requires_grad=True)
    net(image, scale)[..., 30 * scale : 31 * scale].sum().backward()
    assert image.grad is not None
    columns = image.grad.abs().sum(dim=(0, 1, 2)).nonzero().flatten()
    assert (30 - int(columns[0]), int(columns[-1]) - 30) == (reach, reach)
