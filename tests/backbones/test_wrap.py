from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import ultrares
from ultrares.errors import ModelError, UltraresError
from ultrares.types import SizeRule


def nearest(image: Tensor, scale: int = 2) -> Tensor:
    return F.interpolate(image, scale_factor=float(scale))


class Remembers(nn.Module):
    """Nearest neighbours; it keeps what it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(1))
        self.seen: list[Tensor] = []

    def forward(self, image: Tensor, scale: int = 4) -> Tensor:
        self.seen.append(image)
        return self.gain * nearest(image, scale)


def test_values_reach_the_network_in_its_own_units_and_come_back() -> None:
    net = Remembers()
    backbone = ultrares.Backbone.wrap(net, halo=0, value_range=(-1, 1))
    image = torch.linspace(-0.2, 1.2, 15).view(1, 3, 1, 5)
    fine = backbone(image, scale=4)
    torch.testing.assert_close(net.seen[0], image.clamp(0, 1) * 2 - 1)
    torch.testing.assert_close(fine, nearest(image.clamp(0, 1), 4))


def test_a_module_is_frozen_and_counted() -> None:
    net = Remembers()
    backbone = ultrares.Backbone.wrap(net, halo=0)
    assert not net.training
    assert not net.gain.requires_grad
    assert (backbone.name, backbone.parameters, backbone.scales) == ("Remembers", 1, (4,))


def test_several_scales_are_told_to_one_network() -> None:
    net = Remembers()
    backbone = ultrares.Backbone.wrap(net, scales=(3, 2), halo=0)
    assert backbone.scales == (2, 3)
    assert backbone(torch.rand(1, 3, 4, 5), scale=3).shape == (1, 3, 12, 15)
    assert backbone.parameters == 1


def test_each_scale_may_have_its_network() -> None:
    nets = {scale: partial(nearest, scale=scale) for scale in (4, 2)}
    backbone = ultrares.Backbone.wrap(nets, halo=1, bands=None, name="nearest")
    assert (backbone.scales, backbone.parameters) == ((2, 4), None)
    assert backbone(torch.rand(1, 7, 4, 5), scale=4).shape == (1, 7, 16, 20)


def test_its_networks_are_brought_to_the_device() -> None:
    net = Remembers()
    backbone = ultrares.Backbone.wrap(net, halo=0).to("meta")
    assert next(net.parameters()).device.type == "meta"
    assert backbone.halo == 0


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        ({"scale": 3}, "not made for x3: has x2"),
        ({"image": torch.rand(1, 4, 4, 4)}, "takes 3 bands, but got 4"),
    ],
)
def test_what_it_was_not_made_for_is_refused(call: dict[str, Any], sentence: str) -> None:
    backbone = ultrares.Backbone.wrap(nearest, scales=(2,), halo=0)
    asked: dict[str, Any] = {"image": torch.rand(1, 3, 4, 4), "scale": 2} | call
    with pytest.raises(ModelError, match=sentence):
        backbone(**asked)


@pytest.mark.parametrize(
    ("made", "found"),
    [
        (lambda image: nearest(image, 3), r"\(1, 3, 12, 15\)"),
        (lambda image: nearest(image)[:, :1], r"\(1, 1, 8, 10\)"),
        (lambda image: [nearest(image)], "list"),
    ],
)
def test_another_output_than_was_promised_is_one_sentence(made: Any, found: str) -> None:
    backbone = ultrares.Backbone.wrap(made, scales=(2,), halo=0, name="liar")
    sentence = rf"'liar' made {found} of \(1, 3, 4, 5\), but x2 is \(1, 3, 8, 10\)"
    with pytest.raises(ModelError, match=sentence):
        backbone(torch.rand(1, 3, 4, 5), scale=2)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"scales": ()}, "scales"),
        ({"scales": (1,)}, "scales"),
        ({"scales": (2.5,)}, "scales"),
        ({"halo": -1}, "halo"),
        ({"bands": 0}, "bands"),
        ({"value_range": (1.0, 0.0)}, "value_range"),
        ({"value_range": (0.0, float("inf"))}, "value_range"),
        ({"size_rule": SizeRule(minimum=1, multiple_of=0)}, "size_rule"),
    ],
)
def test_properties_without_sense_are_refused(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ModelError, match=f"cannot be wrapped: {sentence}"):
        ultrares.Backbone.wrap(nearest, **({"halo": 0} | options))


@pytest.mark.parametrize("thing", [nn.Conv2d(3, 3, 1), nearest, 4])
def test_what_is_no_backbone_is_told_how_to_become_one(thing: Any) -> None:
    with pytest.raises(ModelError, match=r"wrap it by ultrares\.Backbone\.wrap"):
        ultrares.load(thing)


def test_a_network_of_another_number_of_bands_is_found_out_when_it_is_loaded() -> None:
    net = nn.Sequential(nn.Conv2d(4, 16, 1), nn.PixelShuffle(2))
    backbone = ultrares.Backbone.wrap(net, scales=(2,), halo=0, name="four")
    with pytest.raises(UltraresError, match=r"'four' cannot take an image of 3 bands.*4 channels"):
        ultrares.load(backbone, device="cpu")


def test_numbers_that_are_not_finite_are_found_out_when_it_is_loaded() -> None:
    backbone = ultrares.Backbone.wrap(lambda image: nearest(image) / 0, scales=(2,), halo=0)
    with pytest.raises(ModelError, match="not finite"):
        ultrares.load(backbone, device="cpu")


def test_precision_overrides_how_it_was_wrapped() -> None:
    net = nn.Sequential(nn.Conv2d(3, 12, 1), nn.PixelShuffle(2))
    seen = []
    net[0].register_forward_hook(lambda *about: seen.append(about[-1].dtype))
    backbone = ultrares.Backbone.wrap(net, scales=(2,), halo=0, autocast=True)
    for precision in ("auto", "fp32", "bf16"):
        ultrares.load(backbone, device="cpu", precision=precision)
    assert seen == [torch.bfloat16, torch.float32, torch.bfloat16]
