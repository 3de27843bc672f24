"""Learned perceptual distance: how different two images look to a network that has seen many."""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F

from ultrares.errors import InputError, ModelError
from ultrares.metrics.patch import WIDE_SIDE, Patch
from ultrares.metrics.pixels import Pixels, as_doubles

FEATURES = "alexnet_features_imagenet.safetensors"
HEADS = "lpips_alex_linear.safetensors"
MINIMUM_SIDE = 32

# The mean and the standard deviation of ImageNet's colours (0.485 ..., 0.229 ...), moved from [0, 1]
# to [-1, 1] and rounded as the published heads were trained with.
SHIFT = (-0.030, -0.088, -0.188)
SCALE = (0.458, 0.448, 0.450)


class Convolution(NamedTuple):
    """One layer of AlexNet: where its weights are kept, and how it slides."""

    key: str
    stride: int
    padding: int
    pooled_before: bool


ALEXNET = (
    Convolution("features.0", stride=4, padding=2, pooled_before=False),
    Convolution("features.3", stride=1, padding=2, pooled_before=True),
    Convolution("features.6", stride=1, padding=1, pooled_before=True),
    Convolution("features.8", stride=1, padding=1, pooled_before=False),
    Convolution("features.10", stride=1, padding=1, pooled_before=False),
)


class Lpips:
    """LPIPS with AlexNet, version 0.1 (Zhang et al., "The unreasonable effectiveness of deep features", 2018).

    At each of five layers the features of every place are scaled to unit length, their squared differences
    weighted by a learned number a channel, summed over channels and averaged over places; the five
    figures are added.
    """

    def __init__(self, folder: str | Path) -> None:
        """Read the weights.

        Args:
            folder: Holds ``alexnet_features_imagenet.safetensors`` (keys ``features.N.weight`` and
                ``.bias``) and ``lpips_alex_linear.safetensors`` (keys ``linN.model.1.weight``).

        Raises:
            ModelError: A file is missing or not what it should be.
        """
        features = _read(Path(folder) / FEATURES)
        heads = _read(Path(folder) / HEADS)
        try:
            self._layers = [
                (layer, features[f"{layer.key}.weight"], features[f"{layer.key}.bias"])
                for layer in ALEXNET
            ]
            self._heads = [heads[f"lin{index}.model.1.weight"] for index in range(len(ALEXNET))]
        except KeyError as error:
            raise ModelError(
                f"the LPIPS weights in {folder} lack {error}: use those of AlexNet, v0.1"
            ) from error

    def __call__(self, estimate: Pixels, truth: Pixels, *, peak: float = 255.0) -> float:
        """Distance of two images; 0 for equal ones, about 0.5 for unlike ones.

        Args:
            estimate: Red, green and blue, shape (3, H, W), values 0 to ``peak``.
            truth: The same shape.
            peak: Largest value the data can take.

        Raises:
            InputError: The shapes differ, or are not three bands of at least 32 x 32 pixels.
        """
        one, other = as_doubles(estimate, truth)
        if one.ndim != 3 or len(one) != 3 or min(one.shape[-2:]) < MINIMUM_SIDE:
            raise InputError(
                f"LPIPS of shape {tuple(one.shape)} is not defined: pass red, green and blue "
                f"of at least {MINIMUM_SIDE} x {MINIMUM_SIDE} pixels"
            )
        distance = torch.zeros(())
        with torch.inference_mode():
            # one after the other, because the first layer takes most of the memory
            ours, true = (
                self.features((image[None] * (2 / peak) - 1).float()) for image in (one, other)
            )
            for mine, its, head in zip(ours, true, self._heads, strict=True):
                difference = (_unit(mine) - _unit(its)).square()
                distance = distance + F.conv2d(difference, head).mean()
        return float(distance)

    def features(self, images: Tensor) -> list[Tensor]:
        """What each layer answers to images (B, 3, H, W), single precision in [-1, 1]."""
        state = (images - images.new_tensor(SHIFT).view(1, 3, 1, 1)) / images.new_tensor(
            SCALE
        ).view(1, 3, 1, 1)
        answers = []
        for layer, weight, bias in self._layers:
            if layer.pooled_before:
                state = F.max_pool2d(state, 3, stride=2)
            state = F.relu(
                F.conv2d(state, weight, bias, stride=layer.stride, padding=layer.padding)
            )
            answers.append(state)
        return answers


class PerceptionTally:
    """LPIPS, averaged by area over the squares of 960 x 960 pixels that are valid throughout.

    A smaller image is one square, which gives the usual figure. The last squares of a row or column
    are as small as what is left, and skipped below 32 pixels.

    Args:
        distance: The network with its weights.
        floor: The value that counts as black.
        peak: How much brighter white is.
    """

    halo = 0
    side = WIDE_SIDE

    def __init__(self, distance: Lpips, *, floor: float, peak: float) -> None:
        self._distance, self._floor, self._peak = distance, floor, peak
        self._sum, self._area = 0.0, 0

    def add(self, patch: Patch) -> None:
        """Count the core of a patch, square by square."""
        rows, cols = patch.inner
        for top in range(rows.start, rows.stop, WIDE_SIDE):
            for left in range(cols.start, cols.stop, WIDE_SIDE):
                self._add_square(
                    patch,
                    slice(top, min(top + WIDE_SIDE, rows.stop)),
                    slice(left, min(left + WIDE_SIDE, cols.stop)),
                )

    def _add_square(self, patch: Patch, rows: slice, cols: slice) -> None:
        valid = patch.pair.valid[rows, cols]
        if min(valid.shape) < MINIMUM_SIDE or not valid.all():
            return
        estimate, truth = (
            image[:3, rows, cols] - self._floor for image in (patch.pair.estimate, patch.pair.truth)
        )
        area = valid.numel()
        self._sum += area * self._distance(estimate, truth, peak=self._peak)
        self._area += area

    def scores(self) -> dict[str, float]:
        """``lpips``."""
        return {"lpips": self._sum / self._area if self._area else math.nan}


def _unit(features: Tensor) -> Tensor:
    """Features (1, D, h, w) of unit length at each place."""
    return features / (features.norm(dim=1, keepdim=True) + 1e-10)


def _read(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except FileNotFoundError as error:
        raise ModelError(
            f"{path} does not exist: pass the folder that holds {FEATURES} and {HEADS}"
        ) from error
    except SafetensorError as error:
        raise ModelError(f"{path} is no safetensors file: {error}") from error
