"""Training pairs for a level of a cascade: what a level sees, and what it should make of it."""

from __future__ import annotations

from collections.abc import Callable
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
"""Tiles are cut to a multiple of this: the deepest original is 8 times coarser than the tile, or 4 times
coarser than its half. A sensor that reduced a broken block would shift the image against its target."""


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
    draw that would need a coarser one falls back to less depth.

    Args:
        tiles: Shape (N, C, H, W), unsigned 8-bit; at least three bands, the first three RGB.
        sensors: Sensors and how often each is drawn.
        depths: How often depth 0, 1 and 2 are drawn.
        crop: Side of ``Pair.image`` in pixels, a multiple of 4.
        batch: Crops in a batch.
        any_bands: Share of batches that show three bands drawn with repetition instead of RGB, so that the
            net also serves single bands and bands it has never seen.
        coarser: Share of batches whose truth is the tile reduced by two, a second ground sampling distance.
        scale: What the level enlarges by, 2 or 4.

    Raises:
        RasterError: The tiles are too small for these crops.
    """

    def __init__(
        self,
        tiles: np.ndarray,
        *,
        sensors: dict[SensorModel, float],
        depths: tuple[float, float, float],
        crop: int,
        batch: int,
        any_bands: float,
        coarser: float,
        scale: int = 2,
    ) -> None:
        self._sensors = list(sensors)
        self._shares = np.array(list(sensors.values())) / sum(sensors.values())
        self._depths = np.array(depths) / sum(depths)
        self._crop, self._batch = crop, batch
        self._any_bands, self._coarser, self._scale = any_bands, coarser, scale
        rows, cols = (side - side % WHOLE for side in tiles.shape[-2:])
        self._check_room(tiles.shape[-2:], min(rows, cols))
        tiles = tiles[..., :rows, :cols]
        halved = degrade_tiles(tiles, self._sensors[0], 2)
        self._truth = (tiles, halved)
        self._coarse = {
            (which, sensor, depth): degrade_tiles(truth, sensor, scale * 2**depth)
            for which, truth in enumerate(self._truth)
            for sensor in self._sensors
            for depth in range(self._deepest(which) + 1)
        }

    def draw(self, rng: np.random.Generator, level: Level) -> Pair:
        """Draw one batch; all randomness comes from ``rng``."""
        which = int(rng.random() < self._coarser)
        sensor = self._sensors[rng.choice(len(self._sensors), p=self._shares)]
        depth = int(rng.choice(3, p=self._depths))
        depth = min(depth, self._deepest(which))
        factor = self._scale * 2**depth
        margin = MARGINS[depth]
        side = self._side(depth)
        original, target = self._crops(rng, (which, sensor, depth), side, factor)
        image = original
        for step in range(depth):
            image = level(image, original, sensor, step)
        inner = slice(margin * 2**depth, margin * 2**depth + self._crop)
        outer = slice(self._scale * inner.start, self._scale * inner.stop)
        return Pair(image[..., inner, inner], target[..., outer, outer], sensor, depth)

    def _deepest(self, octave: int) -> int:
        """The deepest draw of a truth that is the tile, or the tile reduced by two."""
        return 3 - (self._scale.bit_length() - 1) - octave

    def _side(self, depth: int) -> int:
        """Side of the original that a crop of this depth starts from, in its own pixels."""
        return self._crop // 2**depth + 2 * MARGINS[depth]

    def _check_room(self, given: tuple[int, ...], usable: int) -> None:
        """Every draw that can happen must find its crop in a tile."""
        octaves = [0] * (self._coarser < 1) + [1] * (self._coarser > 0)
        depths = [depth for depth in range(3) if self._depths[depth]]
        draws = {
            (octave, min(depth, self._deepest(octave))) for octave in octaves for depth in depths
        }
        needed = max(
            self._side(depth) * self._scale * 2 ** (depth + octave) for octave, depth in draws
        )
        if usable < needed:
            raise RasterError(
                f"tiles of {given[1]} x {given[0]} pixels are too small for crops of {self._crop}: "
                f"pass tiles of at least {-(-needed // WHOLE) * WHOLE} pixels, or a smaller crop"
            )

    def _crops(
        self, rng: np.random.Generator, key: tuple[int, SensorModel, int], side: int, factor: int
    ) -> tuple[Tensor, Tensor]:
        coarse, fine = self._coarse[key], self._truth[key[0]]
        bands = np.arange(3)
        if rng.random() < self._any_bands:
            bands = rng.choice(coarse.shape[1], 3)
        places = [length - side + 1 for length in coarse.shape[-2:]]
        originals, targets = [], []
        for tile in rng.integers(len(coarse), size=self._batch):
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
