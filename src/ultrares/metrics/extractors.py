"""Networks that turn an image into a row of features, for distances between sets of images."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from ultrares.errors import MissingExtraError, ModelError
from ultrares.metrics.lpips import FEATURES, Lpips
from ultrares.metrics.lpips import MINIMUM_SIDE as ALEXNET_SIDE

INCEPTION = "inception_v3_imagenet.safetensors"
INCEPTION_SIDE = 299


class FeatureExtractor(Protocol):
    """Turns images into features; its name stands in every result that rests on it."""

    @property
    def name(self) -> str:
        """How the extractor is called, such as ``alexnet``."""

    @property
    def minimum_side(self) -> int:
        """Smallest side of an image, in pixels."""

    def __call__(self, image: Tensor) -> NDArray[np.float64]:
        """Features, shape (D), of red, green and blue (3, H, W) in 0 to 1."""


class AlexNetFeatures:
    """A stand-in where no Inception weights are: the means over places of AlexNet's five layers.

    The 1152 features are those that LPIPS looks at. Distances from them are of another size than those
    in papers and can only be compared with each other.

    Args:
        lpips: The network with its weights.
    """

    name = "alexnet"
    minimum_side = ALEXNET_SIDE

    def __init__(self, lpips: Lpips) -> None:
        self._lpips = lpips

    def __call__(self, image: Tensor) -> NDArray[np.float64]:
        """Features, shape (1152), of red, green and blue (3, H, W) in 0 to 1."""
        with torch.inference_mode():
            layers = self._lpips.features((image[None] * 2 - 1).float())
        return torch.cat([layer[0].double().mean(dim=(1, 2)) for layer in layers]).numpy()


class InceptionFeatures:
    """The 2048 averaged features of torchvision's Inception v3, of images brought to 299 x 299 pixels.

    Published distances use another training of the same network, so that theirs differ a little.

    Args:
        path: A safetensors file with the state of ``torchvision.models.inception_v3``.

    Raises:
        ModelError: The file is missing or does not fit.
        MissingExtraError: torchvision is not installed.
    """

    name = "torchvision-inception-v3"
    minimum_side = 32

    def __init__(self, path: str | Path) -> None:
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        network = _inception()
        try:
            missing = network.load_state_dict(load_file(path), strict=False).missing_keys
        except (OSError, SafetensorError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise ModelError(f"{path} holds no weights of Inception v3: {reason}") from error
        if missing:
            raise ModelError(f"{path} holds no weights of Inception v3: it lacks {missing[0]}")
        self._network = network.eval()

    def __call__(self, image: Tensor) -> NDArray[np.float64]:
        """Features, shape (2048), of red, green and blue (3, H, W) in 0 to 1."""
        size = (INCEPTION_SIDE, INCEPTION_SIDE)
        resized = F.interpolate(
            image[None].float(), size=size, mode="bilinear", antialias=True, align_corners=False
        )
        with torch.inference_mode():
            features: Tensor = self._network(resized * 2 - 1)
        return features[0].double().numpy()


def extractor_from(folder: str | Path) -> FeatureExtractor:
    """The best extractor whose weights are in a folder: Inception's, otherwise AlexNet's.

    Raises:
        ModelError: The folder holds the weights of neither.
    """
    inception = Path(folder) / INCEPTION
    if inception.is_file():
        return InceptionFeatures(inception)
    if (Path(folder) / FEATURES).is_file():
        return AlexNetFeatures(Lpips(folder))
    raise ModelError(f"{folder} holds neither {INCEPTION} nor {FEATURES}: put one of them there")


def _inception() -> torch.nn.Module:
    try:
        from torchvision.models import inception_v3
    except ImportError as error:
        raise MissingExtraError(
            "Inception needs torchvision: pip install 'ultrares[metrics]'"
        ) from error
    network: torch.nn.Module = inception_v3(weights=None, init_weights=False)
    network.fc = torch.nn.Identity()
    return network
