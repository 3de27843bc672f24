"""Nets keep to the receptive field that they declare."""

from __future__ import annotations

from typing import TypeVar

import pytest
import torch
from torch import nn

from ultrares.methods.reference_fusion import context_of
from ultrares.nets.denoiser_unet import DenoiserUNet
from ultrares.nets.spatiotemporal_fusion import SpatiotemporalFusion
from ultrares.nets.wavelet_residual import WaveletResidualNet, context_vector
from ultrares.sensor.models import Box

Net = TypeVar("Net", bound=nn.Module)


def _awake(net: Net) -> Net:
    """Give every layer weights that matter, including those that start at zero."""
    generator = torch.Generator().manual_seed(3)
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.1, generator=generator)
    return net.eval().double()


def _influence(gradient: torch.Tensor) -> tuple[int, int]:
    """First and last column with any influence."""
    columns = gradient.abs().sum(dim=(0, 1, 2)).nonzero().flatten()
    return int(columns[0]), int(columns[-1])


@pytest.mark.parametrize("scale", [2, 4])
def test_wavelet_residual_net_sees_exactly_its_halo(scale: int) -> None:
    net = _awake(WaveletResidualNet(width=8, blocks=2, scale=scale))
    image = torch.rand(1, 3, 3, 41, dtype=torch.float64, requires_grad=True)
    context = context_vector(1, mtf=0.5, depth=0).double()
    fine = net(image, context)
    assert fine.shape == (1, 3, scale * 3, scale * 41)
    fine[..., 20 * scale].sum().backward()
    assert image.grad is not None
    first, last = _influence(image.grad)
    assert (20 - first, last - 20) == (net.halo, net.halo) == (7, 7)


def test_denoiser_unet_sees_no_more_than_its_halo() -> None:
    net = _awake(DenoiserUNet(width=8, blocks=(1, 1, 1)))
    guide = torch.rand(1, 15, 4, 80, dtype=torch.float64)
    context = context_vector(1, mtf=0.5, depth=0).double()
    for column in (40, 41):
        noisy = torch.rand(1, 12, 4, 80, dtype=torch.float64, requires_grad=True)
        net(noisy, guide, torch.zeros(1, dtype=torch.float64), context)[
            ..., column
        ].sum().backward()
        assert noisy.grad is not None
        first, last = _influence(noisy.grad)
        assert column - first <= net.halo
        assert last - column <= net.halo
        assert max(column - first, last - column) >= net.halo - 4


def test_spatiotemporal_fusion_sees_no_more_than_its_halo() -> None:
    net = _awake(SpatiotemporalFusion(width=8))
    context = context_of(16, Box()).double()
    side = 2 * (net.halo + 48)
    for column in (side // 2, side // 2 + 7):
        images = torch.rand(3, 1, 3, 16, side, dtype=torch.float64, requires_grad=True)
        net(*images, context)[..., column].sum().backward()
        assert images.grad is not None
        first, last = _influence(images.grad.flatten(0, 1))
        assert column - first <= net.halo
        assert last - column <= net.halo
        assert max(column - first, last - column) >= net.halo - 24


def test_context_tells_sensor_and_depth_apart() -> None:
    sharp, soft = (context_vector(1, mtf=mtf, depth=0) for mtf in (0.64, 0.2))
    second, third, fourth = (context_vector(1, mtf=0.5, depth=d) for d in (1, 2, 3))
    assert not torch.equal(sharp, soft)
    assert not torch.equal(second, third)
    # Beyond the depths that training shows, the net is told the last it knows.
    assert torch.equal(third, fourth)
