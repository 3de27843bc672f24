"""Networks that were trained to name what pictures show, cut to the layers that losses look at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

VGG19 = (64, 64, "pool", 128, 128, "pool", *(256,) * 4, "pool", *(512,) * 4, "pool", *(512,) * 4)
"""Channels of the 3x3 convolutions of VGG-19, each followed by a ReLU, and where it is halved."""

RELU4_1, CONV5_4 = 20, 34
"""Numbers of layers of VGG-19, counted as torchvision does."""


class ImageNetStatistics(nn.Module):
    """Centres and scales red, green and blue in [0, 1] by the mean and deviation of ImageNet."""

    def __init__(self) -> None:
        super().__init__()
        self.mean: Tensor
        self.std: Tensor
        for name, values in (("mean", IMAGENET_MEAN), ("std", IMAGENET_STD)):
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """Standardise images (B, 3, H, W)."""
        return (image - self.mean) / self.std


class TappedSequence(nn.Module):
    """A chain of layers that answers with what some of them make.

    Its keys are torchvision's ``features.N.weight`` and ``features.N.bias``.

    Args:
        layers: The chain; what comes after the last tap is cut off.
        taps: Numbers of the layers whose results are the answer, rising.
    """

    def __init__(self, layers: Sequence[nn.Module], taps: tuple[int, ...]) -> None:
        super().__init__()
        self.taps = taps
        self.standardise = ImageNetStatistics()
        self.features = nn.ModuleList(layers[: taps[-1] + 1])

    def forward(self, image: Tensor) -> list[Tensor]:
        """What the taps make of images (B, 3, H, W) in [0, 1]."""
        state, answers = self.standardise(image), []
        for index, layer in enumerate(self.features):
            state = layer(state)
            if index in self.taps:
                answers.append(state)
        return answers


def vgg19(*taps: int) -> TappedSequence:
    """VGG-19 up to the last tap (Simonyan and Zisserman, arXiv 1409.1556)."""
    layers: list[nn.Module] = []
    inputs = 3
    for width in VGG19:
        if isinstance(width, str):
            layers.append(nn.MaxPool2d(2))
        else:
            layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU()]
            inputs = width
    return TappedSequence(layers, taps)


def alexnet(*which: Literal[1, 2, 3, 4, 5]) -> TappedSequence:
    """AlexNet up to its convolutions, tapped after the ReLUs of those asked for (Krizhevsky 2014)."""
    layers = [
        *(nn.Conv2d(3, 64, 11, stride=4, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(192, 384, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(384, 256, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(256, 256, 3, padding=1), nn.ReLU()),
    ]
    activations = [index for index, layer in enumerate(layers) if isinstance(layer, nn.ReLU)]
    return TappedSequence(layers, tuple(activations[number - 1] for number in which))


class Bottleneck(nn.Module):
    """A residual block of ResNet-50: narrow, look around, widen."""

    EXPANSION = 4

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = self.EXPANSION * width
        self.conv1, self.bn1 = nn.Conv2d(inputs, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3, self.bn3 = nn.Conv2d(width, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
        self.downsample = (
            nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs)
            )
            if stride != 1 or inputs != outputs
            else nn.Identity()
        )

    def forward(self, features: Tensor) -> Tensor:
        """Refine ``features`` (B, inputs, h, w)."""
        hidden = F.relu(self.bn1(self.conv1(features)))
        hidden = F.relu(self.bn2(self.conv2(hidden)))
        return F.relu(self.bn3(self.conv3(hidden)) + self.downsample(features))


class ResNet50Stages(nn.Module):
    """The first three stages of ResNet-50, with torchvision's keys (He et al., arXiv 1512.03385)."""

    def __init__(self) -> None:
        super().__init__()
        self.standardise = ImageNetStatistics()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1 = self._stage(64, 64, blocks=3, stride=1)
        self.layer2 = self._stage(256, 128, blocks=4, stride=2)
        self.layer3 = self._stage(512, 256, blocks=6, stride=2)

    @staticmethod
    def _stage(inputs: int, width: int, *, blocks: int, stride: int) -> nn.Sequential:
        outputs = Bottleneck.EXPANSION * width
        rest = (Bottleneck(outputs, width, 1) for _ in range(blocks - 1))
        return nn.Sequential(Bottleneck(inputs, width, stride), *rest)

    def forward(self, image: Tensor) -> list[Tensor]:
        """What each stage makes of images (B, 3, H, W) in [0, 1]."""
        state = F.relu(self.bn1(self.conv1(self.standardise(image))))
        state = F.max_pool2d(state, 3, stride=2, padding=1)
        answers = []
        for stage in (self.layer1, self.layer2, self.layer3):
            state = stage(state)
            answers.append(state)
        return answers


def random_filters(*, seed: int = 0) -> TappedSequence:
    """Three octaves of convolutions that nobody trained: always the same ones, tapped at each octave."""
    layers: list[nn.Module] = []
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        for inputs, width in ((3, 32), (32, 64), (64, 128)):
            layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2)]
            convolution = layers[-3]
            assert isinstance(convolution, nn.Conv2d)
            nn.init.orthogonal_(convolution.weight, gain=2**0.5)
    return TappedSequence(layers, (1, 4, 7))
