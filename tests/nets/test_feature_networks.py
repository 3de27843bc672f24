"""Feature networks are the published ones, as far as sizes and another implementation can tell."""

from __future__ import annotations

import torch
from safetensors.torch import load_file
from torch import nn

from tests.shared_data import FOLDER, needs_shared_data
from ultrares.metrics.lpips import Lpips
from ultrares.nets.feature_networks import (
    CONV5_4,
    RELU4_1,
    ResNet50Stages,
    alexnet,
    random_filters,
    vgg19,
)


def _count(net: nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


def test_sizes_are_the_published_ones() -> None:
    with torch.device("meta"):
        vgg, resnet = vgg19(CONV5_4), ResNet50Stages()
    assert _count(vgg) == 20_024_384
    # All of ResNet-50, without its last stage and its classifier.
    assert _count(resnet) == 25_557_032 - 14_964_736 - 2_049_000
    assert isinstance(vgg.features[CONV5_4], nn.Conv2d)
    assert isinstance(vgg.features[RELU4_1], nn.ReLU)
    assert {"layer1.0.downsample.0.weight", "layer3.5.bn3.running_var"} <= set(resnet.state_dict())


def test_maps_have_the_promised_sizes() -> None:
    image = torch.rand(1, 3, 64, 64)
    (relu4_1,) = vgg19(RELU4_1)(image)
    assert relu4_1.shape == (1, 512, 8, 8)
    shapes = [tuple(each.shape[1:]) for each in ResNet50Stages().eval()(image)]
    assert shapes == [(256, 16, 16), (512, 8, 8), (1024, 4, 4)]


@needs_shared_data
def test_alexnet_is_that_of_lpips() -> None:
    weights = FOLDER / "metrics" / "alexnet_features_imagenet.safetensors"
    net = alexnet(1, 2, 3, 4, 5)
    net.load_state_dict(load_file(weights))
    image = torch.rand(1, 3, 64, 64)
    theirs = Lpips(weights.parent).features(2 * image - 1)
    for ours, other in zip(net(image), theirs, strict=True):
        # Their statistics are rounded to three figures.
        torch.testing.assert_close(ours, other, atol=0.02, rtol=0.02)


def test_filters_that_nobody_trained_are_always_the_same() -> None:
    torch.manual_seed(5)
    image = torch.rand(1, 3, 16, 16)
    before = torch.get_rng_state()
    first, second = random_filters()(image), random_filters()(image)
    assert torch.equal(torch.get_rng_state(), before)
    assert [each.shape[-1] for each in first] == [16, 8, 4]
    for one, other in zip(first, second, strict=True):
        assert torch.equal(one, other)
