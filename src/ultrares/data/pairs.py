"""Training pairs for a level of a cascade: what a level sees, and what it should make of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ultrares.errors import RasterError
from ultrares.sensor.models import SensorModel

Level = Callable[[Tensor, Tensor, SensorModel, int], Tensor]
"""One x2 level without gradient: (image, original, sensor, depth) -> image twice as fine."""

MARGINS = (0, 4, 6)
"""Original pixels around a crop that a level of each depth sees and that are cut off again."""

WHOLE = 16
"""Tiles are cut to a multiple of this: no original is more than 16 times coarser than a tile. A sensor that reduced a
broken block would shift the image against its target."""

SMALLEST = 8
"""The least side of a crop, in pixels."""

FULL = 2
"""Octaves whose crops are as large as asked for: a tile and its half. What is left of a tile at others is small."""


@dataclass(frozen=True)
class Pair:
    """A batch for one level.

    Attributes:
        image: What the level sees, (B, 3, h, w), in [0, 1].
        target: The truth, (B, 3, scale * h, scale * w), in [0, 1].
        sensor: The sensor that took the image at the cascade's start.
        depth: How many levels of the cascade made ``image``; 0 if the sensor did.
    """

    image: Tensor
    target: Tensor
    sensor: SensorModel
    depth: int

    def to(self, device: torch.device) -> Pair:
        """The same pair with its pixels on a device."""
        return replace(self, image=self.image.to(device), target=self.target.to(device))


def degrade_tiles(tiles: np.ndarray, sensor: SensorModel, factor: int) -> np.ndarray:
    """Reduce tiles (N, C, H, W) by a sensor model and round them back to their data type."""
    limits = np.iinfo(tiles.dtype)
    coarse = [
        sensor.degrade(torch.from_numpy(chunk).float(), factor)
        .round()
        .clamp(limits.min, limits.max)
        for chunk in np.array_split(tiles, max(1, len(tiles) // 32))
    ]
    return torch.cat(coarse).numpy().astype(tiles.dtype)


class PairSampler:
    """Draws random crops of tiles, degraded by a mixture of sensors, at a mixture of depths.

    Inputs of depth 1 and 2 are made by x2 levels from an original one and two octaves coarser than they
    are, because that is what a level meets in a cascade. The deepest original is 8 times coarser than a tile: a
    draw that would need a coarser one falls back to less depth. Where a tile reduced by 4 or 8 is the truth, originals
    are up to 16 times coarser, and crops as small as the tile then is, in larger batches.

    Args:
        tiles: Shape (N, C, H, W), unsigned 8-bit; at least three bands, the first three RGB.
        sensors: Sensors and how often each is drawn.
        depths: How often depth 0, 1 and 2 are drawn.
        crop: Side of ``Pair.image`` in pixels, a multiple of 4.
        batch: Crops in a batch.
        any_bands: Share of batches that show three bands drawn with repetition instead of RGB, so that the
            net also serves single bands and bands it has never seen.
        coarser: Share of batches whose truth is the tile reduced by 2, by 4 and by 8, as many as are given: further
            ground sampling distances.
        scale: What the level enlarges by, 2 or 4.

    Raises:
        RasterError: The tiles are too small for these crops.
    """

    def __init__(
        self,
        tiles: np.ndarray,
        *,
        sensors: dict[SensorModel, float],
        depths: Sequence[float],
        crop: int,
        batch: int,
        any_bands: float,
        coarser: Sequence[float],
        scale: int = 2,
    ) -> None:
        self._sensors = list(sensors)
        self._shares = np.array(list(sensors.values())) / sum(sensors.values())
        self._depths = np.array(depths) / sum(depths)
        self._crop, self._batch = crop, batch
        self._any_bands, self.scale = any_bands, scale
        self._octaves = np.array([1 - sum(coarser), *coarser])
        rows, cols = (side - side % WHOLE for side in tiles.shape[-2:])
        self._check_room(tiles.shape[-2:], min(rows, cols))
        tiles = tiles[..., :rows, :cols]
        self._truth = [tiles]
        for _ in coarser:
            self._truth.append(degrade_tiles(self._truth[-1], self._sensors[0], 2))
        self._coarse = {
            (which, sensor, depth): degrade_tiles(truth, sensor, scale * 2**depth)
            for which, truth in enumerate(self._truth)
            for sensor in self._sensors
            for depth in range(self._deepest(which) + 1)
        }

    def draw(self, rng: np.random.Generator, level: Level) -> Pair:
        """Draw one batch; all randomness comes from ``rng``."""
        which = self._octave(rng.random())
        sensor = self._sensors[rng.choice(len(self._sensors), p=self._shares)]
        depth = int(rng.choice(3, p=self._depths))
        depth = min(depth, self._deepest(which))
        factor = self.scale * 2**depth
        margin = MARGINS[depth]
        crop = self._crop_of(which, depth)
        batch = self._batch * max(1, (self._crop // crop) ** 2 // 2)
        side = self._side(crop, depth)
        original, target = self._crops(rng, (which, sensor, depth), side, factor, batch)
        image = original
        for step in range(depth):
            image = level(image, original, sensor, step)
        inner = slice(margin * 2**depth, margin * 2**depth + crop)
        outer = slice(self.scale * inner.start, self.scale * inner.stop)
        return Pair(image[..., inner, inner], target[..., outer, outer], sensor, depth)

    def _octave(self, drawn: float) -> int:
        """The octave of a number drawn from [0, 1): the coarser ones first."""
        found = int(np.searchsorted(np.cumsum(self._octaves[1:]), drawn, side="right"))
        return (found + 1) % len(self._octaves)

    def _deepest(self, octave: int) -> int:
        """The deepest draw of a truth that is the tile reduced by 2 ** octave."""
        return max(0, 3 - (self.scale.bit_length() - 1) - octave)

    def _crop_of(self, octave: int, depth: int) -> int:
        """The side of a crop: as asked for of a tile and its half, else as much of it as there is."""
        if octave < FULL:
            return self._crop
        room = min(self._truth[octave].shape[-2:]) // (self.scale * 2**depth)
        return min(self._crop, (room - 2 * MARGINS[depth]) * 2**depth // 4 * 4)

    @staticmethod
    def _side(crop: int, depth: int) -> int:
        """Side of the original that a crop of this depth starts from, in its own pixels."""
        return crop // 2**depth + 2 * MARGINS[depth]

    def _check_room(self, given: tuple[int, ...], usable: int) -> None:
        """Every draw that can happen must find its crop in a tile."""
        octaves = [octave for octave, share in enumerate(self._octaves) if share > 0]
        depths = [depth for depth in range(3) if self._depths[depth]]
        draws = {
            (octave, min(depth, self._deepest(octave))) for octave in octaves for depth in depths
        }
        needed = max(
            self._side(self._crop if octave < FULL else SMALLEST, depth)
            * (self.scale * 2 ** (depth + octave))
            for octave, depth in draws
        )
        if usable < needed:
            raise RasterError(
                f"tiles of {given[1]} x {given[0]} pixels are too small for crops of {self._crop}: "
                f"pass tiles of at least {-(-needed // WHOLE) * WHOLE} pixels, or a smaller crop"
            )

    def _crops(
        self,
        rng: np.random.Generator,
        key: tuple[int, SensorModel, int],
        side: int,
        factor: int,
        batch: int,
    ) -> tuple[Tensor, Tensor]:
        coarse, fine = self._coarse[key], self._truth[key[0]]
        bands = np.arange(3)
        if rng.random() < self._any_bands:
            bands = rng.choice(coarse.shape[1], 3)
        places = [length - side + 1 for length in coarse.shape[-2:]]
        originals, targets = [], []
        for tile in rng.integers(len(coarse), size=batch):
            row, col = rng.integers(places)
            original = coarse[tile, bands, row : row + side, col : col + side]
            rows = slice(row * factor, (row + side) * factor)
            cols = slice(col * factor, (col + side) * factor)
            target = fine[tile, bands, rows, cols]
            turns, flip = int(rng.integers(4)), bool(rng.integers(2))
            originals.append(turn(original, turns, flip=flip))
            targets.append(turn(target, turns, flip=flip))
        return as_unit(originals), as_unit(targets)


def turn(image: np.ndarray, turns: int, *, flip: bool) -> np.ndarray:
    """Rotate (C, H, W) by quarter turns, then mirror it if asked."""
    turned = np.rot90(image, turns, axes=(1, 2))
    return turned[:, :, ::-1] if flip else turned


def as_unit(images: list[np.ndarray]) -> Tensor:
    """Stack unsigned 8-bit images to (B, C, H, W) in [0, 1]."""
    return torch.from_numpy(np.stack(images)).float().div_(255)
