"""Perceptual distances: which feature networks there are to look through, and how two are balanced."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from ultrares.errors import ModelError
from ultrares.metrics.lpips import FEATURES as ALEXNET_FILE
from ultrares.nets.feature_networks import (
    CONV5_4,
    ResNet50Stages,
    alexnet,
    random_filters,
    vgg19,
)

VGG19_FILE = "vgg19_imagenet.safetensors"
RESNET50_FILE = "resnet50_imagenet.safetensors"
"""Weights with torchvision's keys, as its models were trained on ImageNet."""

logger = logging.getLogger(__name__)


class Features:
    """A frozen network to look at images through; no part of what is trained or saved.

    Args:
        net: Answers images (B, 3, H, W) in [0, 1] with a list of feature maps.
        name: What the log calls it.
    """

    def __init__(self, net: nn.Module, name: str) -> None:
        self.net = net.eval().requires_grad_(requires_grad=False)
        self.name = name

    def __call__(self, image: Tensor) -> list[Tensor]:
        """Feature maps of images (B, C, H, W) in [0, 1]; bands are repeated or left out to make three."""
        if image.shape[1] != 3:
            image = image[:, torch.arange(3) % image.shape[1]]
        answers: list[Tensor] = self.net.to(image.device)(image)
        return answers

    def distance(self, estimate: Tensor, truth: Tensor) -> Tensor:
        """Sum over the maps of their mean absolute differences, 0-d."""
        with torch.no_grad():
            theirs = self(truth)
        ours = self(estimate)
        return torch.stack([F.l1_loss(a, b) for a, b in zip(ours, theirs, strict=True)]).sum()


def dual_features(folder: str | None) -> tuple[Features, Features]:
    """The two networks of the dual perceptual loss, or what stands in for them, which the log says.

    The paper's are VGG-19 before the ReLU of conv5_4 and the first three stages of ResNet-50. Where the
    folder has AlexNet only, its last and its first three convolutions stand in; without a folder, filters
    that nobody trained.

    Args:
        folder: Holds ``vgg19_imagenet.safetensors`` and ``resnet50_imagenet.safetensors``, or
            ``alexnet_features_imagenet.safetensors``; None where there is none.

    Raises:
        ModelError: The folder holds none of them, or a file is not what its name says.
    """
    if folder is None:
        pair = (Features(random_filters(), "random filters"),) * 2
        _stands_in(pair, "the recipe names no folder of features")
        return pair[0], pair[1]
    path = Path(folder)
    if (path / VGG19_FILE).exists() and (path / RESNET50_FILE).exists():
        vgg, resnet = vgg19(CONV5_4), ResNet50Stages()
        fill(vgg, path / VGG19_FILE)
        fill(resnet, path / RESNET50_FILE)
        return Features(vgg, "VGG-19 conv5_4"), Features(resnet, "ResNet-50 stages 1-3")
    deep, shallow = alexnet(5), alexnet(1, 2, 3)
    for net in (deep, shallow):
        fill(net, path / ALEXNET_FILE)
    both = Features(deep, "AlexNet conv5"), Features(shallow, "AlexNet conv1-3")
    _stands_in(both, f"{folder} does not hold both {VGG19_FILE} and {RESNET50_FILE}")
    return both


def _stands_in(pair: tuple[Features, ...], why: str) -> None:
    names = " and ".join(dict.fromkeys(features.name for features in pair))
    logger.warning("%s stand in for VGG-19 and ResNet-50 in the perceptual loss: %s", names, why)


def fill(net: nn.Module, path: Path) -> None:
    """Load the weights that a network has from a file that may have more.

    Raises:
        ModelError: The file is missing, is no safetensors file, or lacks what the network needs.
    """
    try:
        found = load_file(path)
    except FileNotFoundError as error:
        raise ModelError(
            f"the weights {path} do not exist: put them there, or leave `features` out of the recipe"
        ) from error
    except SafetensorError as error:
        raise ModelError(f"{path} is no safetensors file: {error}") from error
    wanted = net.state_dict()
    _refuse_others(path, wanted, found)
    net.load_state_dict({key: found.get(key, value) for key, value in wanted.items()})


def _refuse_others(path: Path, wanted: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> None:
    for key, value in wanted.items():
        # Old files do not count their batches, and nothing here does.
        if key.endswith("num_batches_tracked"):
            continue
        if key not in found or found[key].shape != value.shape:
            raise ModelError(
                f"the weights {path} lack {key} of shape {tuple(value.shape)}: use those of torchvision"
            )


def dual_perceptual_loss(first: Tensor, second: Tensor) -> Tensor:
    """L_vgg + mu L_res with mu = 2 L_vgg / L_res, taken for a constant (ESRGAN-DP).

    The weight changes with the losses, so that the second pulls twice as hard as the first, whatever
    scale its features have.

    Args:
        first: L_vgg, 0-d.
        second: L_res, 0-d.
    """
    balance = 2 * first.detach() / second.detach().clamp(min=1e-12)
    return first + balance * second
