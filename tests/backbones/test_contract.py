"""The shared suite that every backbone passes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from ultrares.backbones.bicubic import BicubicBackbone
from ultrares.backbones.wavelet_residual import WaveletResidualBackbone
from ultrares.nets.wavelet_residual import WaveletResidualNet
from ultrares.types import Backbone


def _untrained() -> WaveletResidualBackbone:
    torch.manual_seed(0)
    net = WaveletResidualNet(width=16, blocks=2)
    # A fresh head is zero, which would let a wrong halo pass unseen.
    torch.nn.init.normal_(net.head.weight, std=0.05)
    return WaveletResidualBackbone(net.eval())


BACKBONES: dict[str, Callable[[], Backbone]] = {
    "bicubic": BicubicBackbone,
    "wavelet-residual": _untrained,
}


@pytest.fixture(params=BACKBONES)
def backbone(request: pytest.FixtureRequest) -> Backbone:
    return BACKBONES[request.param]()


@pytest.fixture
def image(backbone: Backbone) -> torch.Tensor:
    return torch.rand(2, backbone.bands or 5, 36, 44, generator=torch.Generator().manual_seed(1))


@torch.inference_mode()
def test_every_scale_gives_the_promised_shape(backbone: Backbone, image: torch.Tensor) -> None:
    for scale in backbone.scales:
        fine = backbone(image, scale=scale)
        assert fine.shape == (2, image.shape[1], 36 * scale, 44 * scale)
        assert fine.dtype == torch.float32


@torch.inference_mode()
def test_same_image_gives_the_same_result(backbone: Backbone, image: torch.Tensor) -> None:
    if not backbone.stochastic:
        assert torch.equal(backbone(image), backbone(image))


@torch.inference_mode()
def test_batch_does_not_mix(backbone: Backbone, image: torch.Tensor) -> None:
    torch.testing.assert_close(backbone(image)[1:], backbone(image[1:]), atol=1e-6, rtol=0)


@torch.inference_mode()
def test_nothing_beyond_the_halo_matters(backbone: Backbone, image: torch.Tensor) -> None:
    halo = backbone.halo
    assert halo is not None
    assert 2 * halo < 36
    changed = image.clone()
    changed[..., :, : 44 - halo - 4] = 0.0
    before, after = backbone(image), backbone(changed)
    torch.testing.assert_close(before[..., -8:], after[..., -8:], atol=1e-6, rtol=0)
    assert not torch.allclose(before[..., :8], after[..., :8])


@torch.inference_mode()
def test_halo_is_not_wasteful(backbone: Backbone, image: torch.Tensor) -> None:
    """A pixel at the halo's distance does matter, or the halo is declared too large by more than 2."""
    width = image.shape[-1]
    assert backbone.halo is not None
    changed = image.clone()
    changed[..., : width - backbone.halo + 2] = 0.0
    assert not torch.equal(backbone(image)[..., -2:], backbone(changed)[..., -2:])


@torch.inference_mode()
def test_constant_image_keeps_its_mean_with_zero_weights() -> None:
    net = WaveletResidualNet(width=16, blocks=1).eval()
    flat = torch.full((1, 3, 8, 8), 0.3)
    torch.testing.assert_close(WaveletResidualBackbone(net)(flat), torch.full((1, 3, 16, 16), 0.3))
