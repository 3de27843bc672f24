"""Training batches for spatiotemporal fusion: a coarse image, a fine one of another date, and the truth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from ultrares.data.pairs import WHOLE, turn
from ultrares.data.reference_images import ReferenceImages, ReferenceMixture, matched_to
from ultrares.errors import RasterError
from ultrares.sensor.models import SensorModel

Kind = TypeVar("Kind", int, SensorModel)

CHANGED = 4
"""Rectangles of other places in a simulated reference, at most."""

BRIGHTNESS = 0.1
"""How much brighter or darker the scene is made, at most."""

UNMATCHED, GAIN, OFFSET = 0.3, 0.1, 0.04
"""Share of references whose radiometry is not the crop's own, for a scene's is matched as a whole, and by how much."""


GAPS, LARGEST_GAP = 0.1, 0.3
"""Share of references with a rectangle that is not valid, and its largest side, of that of the crop."""


@dataclass(frozen=True)
class FusionMixture:
    """Which crops are drawn.

    Attributes:
        sensors: Sensors and how often each is drawn.
        ratios: Pixels of the truth per pixel of the scene, along one side, and how often each is drawn.
        batch: Crops in a batch.
        any_bands: Share of crops that show three bands drawn with repetition instead of RGB.
    """

    sensors: dict[SensorModel, float]
    ratios: dict[int, float]
    batch: int
    any_bands: float


@dataclass(frozen=True)
class FusionPair:
    """A batch for the fusion.

    Attributes:
        scene: What the sensor took, (B, 3, h, w), in [0, 1].
        reference: Matched to it, (B, 3, ratio * h, ratio * w).
        valid: Where it can be believed, 0 or 1, (B, 1, ratio * h, ratio * w).
        target: The truth, of that shape, in [0, 1].
        sensor: The sensor.
        ratio: Pixels of the truth per pixel of the scene, along one side.
    """

    scene: Tensor
    reference: Tensor
    valid: Tensor
    target: Tensor
    sensor: SensorModel
    ratio: int

    def to(self, device: torch.device) -> FusionPair:
        """The same pair with its pixels on a device."""
        scene, reference, valid, target = (
            each.to(device) for each in (self.scene, self.reference, self.valid, self.target)
        )
        return replace(self, scene=scene, reference=reference, valid=valid, target=target)


class FusionPairSampler:
    """Draws batches of crops, nearly as large as the tiles, at any phase of the scene's pixels.

    Args:
        tiles: Shape (N, C, H, W), unsigned 8-bit; at least three bands, the first three RGB.
        places: Groups of tiles of one place (:func:`ultrares.data.reference_pairs.group_by_place`).
        crops: Which crops are drawn.
        mixture: The references; all crops have one, whatever share is offered.

    Raises:
        RasterError: The tiles are too small, or no two of them show one place.
    """

    def __init__(
        self,
        tiles: np.ndarray,
        places: Sequence[Sequence[int]],
        crops: FusionMixture,
        mixture: ReferenceMixture,
    ) -> None:
        least = 4 * max(*crops.ratios, WHOLE)
        if min(tiles.shape[-2:]) < least:
            raise RasterError(
                f"tiles of {tiles.shape[-1]} x {tiles.shape[-2]} pixels are too small for the recipe's largest ratio: "
                f"pass tiles of at least {least} pixels"
            )
        if not places:
            raise RasterError(
                "no two tiles show one place, so there is nothing to fuse: check the recipe's pattern of places"
            )
        self._tiles, self._crops, self._mixture = tiles, crops, mixture
        self._images = ReferenceImages([tiles], places, mixture)

    def draw(self, rng: np.random.Generator) -> FusionPair:
        """Draw one batch; all randomness comes from ``rng``."""
        ratio, sensor = _drawn(rng, self._crops.ratios), _drawn(rng, self._crops.sensors)
        drawn = [self._one(rng, ratio, sensor) for _ in range(self._crops.batch)]
        scene, reference, valid, target = (torch.stack(each) for each in zip(*drawn, strict=True))
        return FusionPair(scene, reference, valid, target, sensor, ratio)

    def _one(
        self, rng: np.random.Generator, ratio: int, sensor: SensorModel
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Scene (3, h, w), reference, its validity and truth of one crop, ratio * h by ratio * w pixels each."""
        simulated = bool(rng.random() < self._mixture.simulated)
        tile = int(rng.integers(len(self._tiles)) if simulated else rng.choice(self._images.paired))
        image, _ = self._images.draw(rng, 0, tile, simulated=simulated, changed=CHANGED)
        bands = np.arange(3)
        if rng.random() < self._crops.any_bands:
            bands = rng.choice(self._tiles.shape[1], 3)
        turns, flip = int(rng.integers(4)), bool(rng.integers(2))
        whole = torch.from_numpy(self._tiles[tile, bands]).float().div_(255)
        truth, image = (
            torch.from_numpy(turn(each.numpy(), turns, flip=flip).copy())
            for each in (whole, self._images.spoil(rng, image))
        )
        rows, cols = (_crop(rng, side, ratio) for side in truth.shape[-2:])
        truth = truth[:, rows, cols] * float(rng.uniform(1 - BRIGHTNESS, 1 + BRIGHTNESS))
        truth = truth.clamp(0, 1).contiguous()
        digital = sensor.degrade(truth[None], ratio)[0].mul(255).round().clamp(0, 255)
        reference = torch.from_numpy(matched_to(digital.numpy(), image[:, rows, cols].contiguous()))
        if rng.random() < UNMATCHED:
            gain, offset = (rng.uniform(-most, most, (3, 1, 1)) for most in (GAIN, OFFSET))
            reference = (
                reference * torch.from_numpy(1 + gain).float() + torch.from_numpy(offset).float()
            )
        return digital / 255, reference, _gaps(rng, truth.shape[-2:]), truth


def _gaps(rng: np.random.Generator, shape: Sequence[int]) -> Tensor:
    """Where a reference is valid, (1, H, W): everywhere, or outside a rectangle."""
    valid = torch.ones(1, *shape)
    if rng.random() < GAPS:
        rows, cols = (_gap(rng, side) for side in shape)
        valid[:, rows, cols] = 0
    return valid


def _gap(rng: np.random.Generator, side: int) -> slice:
    length = int(rng.integers(1, int(LARGEST_GAP * side)))
    start = int(rng.integers(side - length + 1))
    return slice(start, start + length)


def _crop(rng: np.random.Generator, side: int, ratio: int) -> slice:
    """A place for a crop, whole pixels of the scene, that leaves room for any phase of them."""
    multiple = math.lcm(ratio, WHOLE)
    length = (side - multiple) // multiple * multiple
    start = int(rng.integers(side - length + 1))
    return slice(start, start + length)


def _drawn(rng: np.random.Generator, shares: dict[Kind, float]) -> Kind:
    """One of several kinds, drawn as often as its share says."""
    given = np.array(list(shares.values()))
    return list(shares)[int(rng.choice(len(given), p=given / given.sum()))]
