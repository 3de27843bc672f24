from __future__ import annotations

import pytest
import torch
from torch import nn

from ultrares.backbones.wavelet_residual import WaveletResidualBackbone
from ultrares.methods.band_prior import BandPrior
from ultrares.methods.residual_bands import ResidualBands
from ultrares.methods.wavediffur import WaveDiffUR
from ultrares.nets.denoiser_unet import DenoiserUNet
from ultrares.nets.wavelet_residual import WaveletResidualNet


def small_nets() -> tuple[WaveletResidualNet, DenoiserUNet]:
    """Small networks with weights that matter everywhere, the same each time."""
    nets = WaveletResidualNet(width=8, blocks=1), DenoiserUNet(width=8, blocks=(1, 1, 1))
    generator = torch.Generator().manual_seed(5)
    for net in nets:
        for parameter in net.parameters():
            nn.init.normal_(parameter, std=0.05, generator=generator)
        net.eval().requires_grad_(requires_grad=False)
    return nets


def by_role(nets: tuple[nn.Module, nn.Module]) -> dict[str, nn.Module]:
    """Backbone and denoiser as a weight set."""
    return dict(zip(("backbone", "denoiser"), nets, strict=True))


@pytest.fixture
def solver() -> WaveDiffUR:
    net, denoiser = small_nets()
    prior = BandPrior(denoiser, ResidualBands((0.01, 0.02, 0.02, 0.01)))
    return WaveDiffUR(WaveletResidualBackbone(net, name="small"), prior)
