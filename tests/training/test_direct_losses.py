"""Each part of a system learns from its own terms."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from ultrares.backbones.systems import SYSTEMS
from ultrares.data.scale_pairs import ScalePair
from ultrares.nets.feature_networks import RELU4_1, vgg19
from ultrares.nets.latent_encoder import LatentEncoder
from ultrares.nets.ref_vae import RefVAENet
from ultrares.sensor.models import parse_sensor
from ultrares.training.lar_sr_loss import lar_sr_loss
from ultrares.training.le_gan_loss import coupling, encoder_loss, spectral_angle
from ultrares.training.perceptual import Features
from ultrares.training.ref_vae_loss import draw_reference, gram, prepare_encoder, style_distance
from ultrares.training.stages import SystemStage


def _pair(scale: int = 2) -> ScalePair:
    generator = torch.Generator().manual_seed(0)
    sensor = parse_sensor("box")
    target = torch.rand(2, 3, 32, 32, generator=generator)
    return ScalePair(sensor.degrade(target, scale), target, sensor, scale)


def test_spectra_that_differ_in_brightness_only_have_no_angle() -> None:
    image = torch.rand(1, 3, 4, 4) + 0.1
    assert spectral_angle(0.5 * image, image).item() == pytest.approx(0, abs=1e-6)
    one, other = torch.zeros(2, 1, 3, 1, 1).unbind()
    one[:, 0], other[:, 0], other[:, 1] = 1.0, 1.0, 1.0
    assert spectral_angle(one, other).item() == pytest.approx(1 - math.cos(math.pi / 4))


def test_coupling_teaches_the_generator_and_its_own_loss_the_encoder() -> None:
    torch.manual_seed(0)
    encoder = LatentEncoder(width=4, latent=2)
    truth = torch.rand(2, 3, 16, 16)
    estimate = torch.rand(2, 3, 16, 16, requires_grad=True)
    assert coupling(encoder, truth, truth).item() == 0
    coupling(encoder, estimate, truth).backward()  # type: ignore[no-untyped-call]
    assert estimate.grad is not None
    assert estimate.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in encoder.parameters())
    first = encoder_loss(encoder, truth, 3)
    assert first.item() == encoder_loss(encoder, truth, 3).item()
    first.backward()  # type: ignore[no-untyped-call]
    assert all(parameter.grad is not None for parameter in encoder.parameters())


def _touched(net: nn.Module, term: torch.Tensor) -> set[str]:
    """The parts of a network that a term gives gradients to."""
    for parameter in net.parameters():
        parameter.grad = None
    term.backward(retain_graph=True)  # type: ignore[no-untyped-call]
    return {
        name.split(".")[0]
        for name, parameter in net.named_parameters()
        if parameter.grad is not None and parameter.grad.abs().sum() > 0
    }


def test_no_gradient_of_lar_sr_leaves_its_part() -> None:
    torch.manual_seed(0)
    system = SYSTEMS["lar-sr"]
    settings = system.with_changes(
        "small", {"width": 8, "codes": 8, "embedded": 4, "sr_width": 8, "order_width": 8}
    )
    net = system.build(settings)
    pair = _pair()
    fine = net.super_resolve(pair.image, 2)  # type: ignore[operator]
    parts = net.code(fine, pair.target)  # type: ignore[operator]
    vq = {"known", "encoder", "vector", "decoder"}
    assert _touched(net, (fine - pair.target).abs().mean()) == {"sr"}
    assert _touched(net, (parts.decoded - pair.target).abs().mean()) == vq
    for term in (parts.commitment, parts.imbalance):
        assert _touched(net, term) == {"encoder", "vector", "quantiser"}
    order = nn.functional.cross_entropy(parts.logits, parts.codes)
    assert _touched(net, order) == {"order"}
    assert order.item() == pytest.approx(math.log(8), rel=0.3)
    backbone = system.backbone(net, settings, name="lar-sr")
    value, figures = lar_sr_loss(backbone, pair, np.random.default_rng(0))
    assert value.requires_grad
    assert 1 <= figures["codes in use"] <= 8


def test_gram_matrices_forget_where_things_are() -> None:
    torch.manual_seed(0)
    image = torch.rand(1, 3, 8, 8)
    expected = torch.einsum("bchw,bdhw->bcd", image, image) / 64
    torch.testing.assert_close(gram(image), expected)
    pixels = Features(_Identity(), "pixels")
    assert style_distance(pixels, image.flip(-1), image).item() == pytest.approx(0, abs=1e-6)
    assert style_distance(pixels, 0.5 * image, image) > 0.01


class _Identity(nn.Module):
    def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
        return [image]


def test_references_are_the_image_its_truth_and_another_s() -> None:
    pair = _pair()
    enlarged = torch.zeros_like(pair.target)
    drawn = [draw_reference(pair, enlarged, np.random.default_rng(seed)) for seed in range(60)]
    kinds = [enlarged, pair.target, pair.target.roll(1, dims=0)]
    counts = [sum(torch.equal(each, kind) for each in drawn) for kind in kinds]
    assert sum(counts) == 60
    assert counts[0] > max(counts[1:])
    assert min(counts) > 3


def _vgg_stage(features: str | None) -> SystemStage:
    small = {"encoder": "vgg19", "latent": "map", "widths": (4, 4, 4, 4), "codes": 2, "squeezed": 2}
    return SystemStage.model_validate(
        {
            "kind": "ref-vae",
            "settings": {**small, "blocks": 1},
            "features": features,
            "data": {"sensors": {"box": 1.0}, "crop": 32},
            "optimiser": {"steps": 1},
        }
    )


def test_a_frozen_encoder_gets_its_weights_or_learns_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stage = _vgg_stage(None)
    net = stage.system.build(stage.resolved)
    assert isinstance(net, RefVAENet)
    assert not any(parameter.requires_grad for parameter in net.encoder.parameters())
    prepare_encoder(net, stage)
    assert all(parameter.requires_grad for parameter in net.encoder.parameters())
    assert "stands in for a frozen VGG-19" in caplog.text
    vgg = vgg19(RELU4_1)
    save_file(vgg.state_dict(), tmp_path / "vgg19_imagenet.safetensors")
    stage = _vgg_stage(str(tmp_path))
    net = stage.system.build(stage.resolved)
    assert isinstance(net, RefVAENet)
    prepare_encoder(net, stage)
    image = torch.rand(1, 3, 16, 16)
    with torch.no_grad():
        assert torch.equal(net.encoder(image), vgg(image)[-1])
    assert not any(parameter.requires_grad for parameter in net.encoder.parameters())
