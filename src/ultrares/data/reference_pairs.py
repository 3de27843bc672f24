"""Training batches for Algorithm 2: what a level sees, a reference of the same place, and the truth.

References are real ones, the same place in another year, matched to the scene as inference does. Some
are replaced by another place, blurred, shifted by a pixel or changed in contrast, and many batches have none, so
that a bad reference does no harm and a missing one costs nothing.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ultrares.data.pairs import MARGINS as MARGINS_OF_BACKBONES
from ultrares.data.pairs import WHOLE, as_unit, degrade_tiles, turn
from ultrares.data.reference_images import ReferenceImages, ReferenceMixture, matched_to
from ultrares.data.tiles import Tiles
from ultrares.errors import RasterError
from ultrares.sensor.models import SensorModel

ReferenceLevel = Callable[[Tensor, Tensor, SensorModel, int, Tensor | None], Tensor]
"""One x2 level without gradient: (image, original, sensor, depth, reference) -> image twice as fine."""

OCTAVES = 4
"""Ground sampling distances that a tile is used at: its own, and reduced by 2, 4 and 8."""

MARGINS = (*MARGINS_OF_BACKBONES, 4)
"""Original pixels around a crop that a level of each depth sees and that are cut off again; at the last, a tile has no more."""

CROPS = ((48, 48, 48, 48), (48, 48, 16), (32, 16), (16,))
"""Largest crop at each of them and each depth of a cascade, in pixels of the level's input."""


@dataclass(frozen=True)
class CropMixture:
    """Which crops are drawn.

    Attributes:
        sensors: Sensors and how often each is drawn.
        depths: How often depth 0, 1, 2 and, if a fourth is given, 3 of a cascade are drawn.
        octaves: How often each ground sampling distance is drawn: the tiles' own, and 2, 4, 8 times it.
        crop: Side of ``ReferencePair.image`` in pixels, a multiple of 16.
        batch: Crops in a batch; smaller crops come in larger batches.
        any_bands: Share of batches that show three bands drawn with repetition instead of RGB.
    """

    sensors: dict[SensorModel, float]
    depths: Sequence[float]
    octaves: Sequence[float]
    crop: int
    batch: int
    any_bands: float


@dataclass(frozen=True)
class ReferencePair:
    """A batch for one x2 level.

    Attributes:
        image: What the level sees, (B, 3, h, w), in [0, 1].
        target: The truth, (B, 3, 2 * h, 2 * w), in [0, 1].
        reference: On the grid of the target, matched to the scene, (B, 3, 2 * h, 2 * w); or None.
        sensor: The sensor that took the image at the cascade's start.
        depth: How many levels of the cascade made ``image``; 0 if the sensor did.
        octave: Which ground sampling distance the target has: 2**octave times the tiles' own.
    """

    image: Tensor
    target: Tensor
    reference: Tensor | None
    sensor: SensorModel
    depth: int
    octave: int

    def to(self, device: torch.device) -> ReferencePair:
        """The same pair with its pixels on a device."""
        reference = None if self.reference is None else self.reference.to(device)
        return replace(
            self, image=self.image.to(device), target=self.target.to(device), reference=reference
        )


def group_by_place(tiles: Tiles, pattern: str) -> list[list[int]]:
    """Tiles that show one place: cut at one corner of files whose names give the same groups.

    Args:
        tiles: Tiles of rasters whose pixels lie on one grid wherever their names agree.
        pattern: Regular expression; must match a whole file name to count, and its groups name the place.

    Returns:
        Groups of two or more indices into ``tiles``.
    """
    places: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for index, (name, corner) in enumerate(zip(tiles.names, tiles.corners, strict=True)):
        found = re.fullmatch(pattern, name)
        if found:
            places[(*found.groups(), corner)].append(index)
    return [group for group in places.values() if len(group) > 1]


class ReferencePairSampler:
    """Draws batches of crops with and without references.

    Args:
        tiles: Shape (N, C, H, W), unsigned 8-bit; at least three bands, the first three RGB.
        places: Groups of tiles of one place (:func:`group_by_place`).
        crops: Which crops are drawn.
        mixture: The references.

    Raises:
        RasterError: The tiles are too small, or references are asked for and no two tiles show one place.
    """

    def __init__(
        self,
        tiles: np.ndarray,
        places: Sequence[Sequence[int]],
        crops: CropMixture,
        mixture: ReferenceMixture,
    ) -> None:
        rows, cols = (side - side % WHOLE for side in tiles.shape[-2:])
        if min(rows, cols) < 256:
            raise RasterError(
                f"tiles of {tiles.shape[-1]} x {tiles.shape[-2]} pixels are too small to train with "
                "references: pass tiles of at least 256 pixels"
            )
        if mixture.offered and not places:
            raise RasterError(
                "no two tiles show one place, so there are no references to train with: check the "
                "recipe's pattern of places, or set the share of offered references to 0"
            )
        self._sensors = list(crops.sensors)
        self._shares = np.array(list(crops.sensors.values())) / sum(crops.sensors.values())
        self._depths = np.array(crops.depths) / sum(crops.depths)
        self._octaves = np.array(crops.octaves) / sum(crops.octaves)
        self._crop, self._batch = crops.crop, crops.batch
        self._any_bands, self._mixture = crops.any_bands, mixture
        truth = [tiles[..., :rows, :cols]]
        while len(truth) < len(self._octaves):
            truth.append(degrade_tiles(truth[-1], self._sensors[0], 2))
        self._truth = truth
        self._images = ReferenceImages(truth, places, mixture)
        self._coarse: dict[tuple[int, SensorModel, int], np.ndarray] = {}

    def draw(self, rng: np.random.Generator, level: ReferenceLevel) -> ReferencePair:
        """Draw one batch; all randomness comes from ``rng``."""
        octave = int(rng.choice(len(self._octaves), p=self._octaves))
        sensor = self._sensors[rng.choice(len(self._sensors), p=self._shares)]
        depth = min(int(rng.choice(len(self._depths), p=self._depths)), len(CROPS[octave]) - 1)
        crop = min(self._crop, CROPS[octave][depth])
        batch = self._batch * max(1, (self._crop // crop) ** 2 // 2)
        offered = rng.random() < self._mixture.offered
        original, target, reference = self._crops(
            rng, octave, sensor, depth, crop, batch, offered=offered
        )
        image = original
        for step in range(depth):
            there = None
            if reference is not None:
                there = F.avg_pool2d(reference, 2 ** (depth - step))
            image = level(image, original, sensor, step, there)
        margin = MARGINS[depth]
        inner = slice(margin * 2**depth, margin * 2**depth + crop)
        outer = slice(2 * inner.start, 2 * inner.stop)
        return ReferencePair(
            image[..., inner, inner],
            target[..., outer, outer],
            None if reference is None else reference[..., outer, outer].contiguous(),
            sensor,
            depth,
            octave,
        )

    def _reduced(self, octave: int, sensor: SensorModel, depth: int) -> np.ndarray:
        key = (octave, sensor, depth)
        if key not in self._coarse:
            self._coarse[key] = degrade_tiles(self._truth[octave], sensor, 2 ** (depth + 1))
        return self._coarse[key]

    def _crops(
        self,
        rng: np.random.Generator,
        octave: int,
        sensor: SensorModel,
        depth: int,
        crop: int,
        batch: int,
        *,
        offered: bool,
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Originals, targets and references of a batch, with the margins that a cascade needs."""
        coarse, fine = self._reduced(octave, sensor, depth), self._truth[octave]
        factor = 2 ** (depth + 1)
        side = crop // 2**depth + 2 * MARGINS[depth]
        bands = np.arange(3)
        if rng.random() < self._any_bands:
            bands = rng.choice(coarse.shape[1], 3)
        places = [length - side + 1 for length in coarse.shape[-2:]]
        chosen = rng.integers(len(coarse), size=batch)
        simulated = rng.random(batch) < self._mixture.simulated
        if offered:
            chosen = np.where(simulated, chosen, rng.choice(self._images.paired, batch))
        originals, targets, references = [], [], []
        for tile, made in zip(chosen, simulated, strict=True):
            row, col = rng.integers(places)
            rows = slice(row * factor, (row + side) * factor)
            cols = slice(col * factor, (col + side) * factor)
            turns, flip = int(rng.integers(4)), bool(rng.integers(2))
            original = coarse[tile, bands, row : row + side, col : col + side]
            originals.append(turn(original, turns, flip=flip))
            target = fine[tile, bands].astype(np.float32) / 255
            if offered:
                image, right = self._images.draw(rng, octave, int(tile), simulated=bool(made))
                matched = matched_to(coarse[tile, bands], self._images.spoil(rng, image))
                references.append(turn(matched[:, rows, cols], turns, flip=flip))
                if right and self._mixture.trusted:
                    share = self._mixture.trusted
                    target = target + share * _details(matched - target, sensor, factor)
                    target = target.clip(0, 1)
            targets.append(turn(target[:, rows, cols], turns, flip=flip))
        told = torch.from_numpy(np.stack(references)) if offered else None
        return as_unit(originals), torch.from_numpy(np.stack(targets)), told


def _details(image: np.ndarray, sensor: SensorModel, factor: int) -> np.ndarray:
    """What of an image (C, H, W) a sensor that is ``factor`` times coarser does not see."""
    fine = torch.from_numpy(image)[None]
    seen = F.interpolate(sensor.degrade(fine, factor), scale_factor=factor, mode="bicubic")
    return (fine - seen)[0].numpy()
