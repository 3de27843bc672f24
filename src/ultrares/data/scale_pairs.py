"""Training pairs for one enlargement, by two, four or more at once."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ultrares.data.pairs import as_unit, degrade_tiles, turn
from ultrares.errors import RasterError
from ultrares.sensor.models import SensorModel


@dataclass(frozen=True)
class ScalePair:
    """A batch for one enlargement.

    Attributes:
        image: What a sensor sees, (B, 3, h, w), in [0, 1].
        target: The truth, (B, 3, scale * h, scale * w), in [0, 1].
        sensor: The sensor.
        scale: What the image is to be enlarged by.
    """

    image: Tensor
    target: Tensor
    sensor: SensorModel
    scale: int

    def to(self, device: torch.device) -> ScalePair:
        """The same pair with its pixels on a device."""
        return replace(self, image=self.image.to(device), target=self.target.to(device))


class ScalePairSampler:
    """Draws random crops of tiles, degraded as a level's pairs are, at a mixture of scales.

    Args:
        tiles: Shape (N, C, H, W), unsigned 8-bit; at least three bands, the first three RGB.
        sensors: Sensors and how often each is drawn.
        scales: Each as often as the others.
        crop: Side of the truth's crops in pixels, a multiple of the scales.
        batch: Crops in a batch.
        any_bands: Share of batches that show three bands drawn with repetition instead of RGB.

    Raises:
        RasterError: The tiles are too small for these crops.
    """

    def __init__(
        self,
        tiles: np.ndarray,
        *,
        sensors: dict[SensorModel, float],
        scales: tuple[int, ...],
        crop: int,
        batch: int,
        any_bands: float,
    ) -> None:
        if min(tiles.shape[-2:]) < crop:
            raise RasterError(
                f"tiles of {tiles.shape[-1]} x {tiles.shape[-2]} pixels are too small for crops of {crop}: "
                "pass larger tiles, or a smaller crop"
            )
        self._sensors, self._scales = list(sensors), scales
        self._shares = np.array(list(sensors.values())) / sum(sensors.values())
        self._crop, self._batch, self._any_bands = crop, batch, any_bands
        self._fine = tiles
        self._coarse = {
            (sensor, scale): degrade_tiles(_whole(tiles, scale), sensor, scale)
            for sensor in self._sensors
            for scale in scales
        }

    def draw(self, rng: np.random.Generator) -> ScalePair:
        """Draw one batch; all randomness comes from ``rng``."""
        sensor = self._sensors[rng.choice(len(self._sensors), p=self._shares)]
        scale = self._scales[rng.integers(len(self._scales))]
        coarse, side = self._coarse[sensor, scale], self._crop // scale
        bands = np.arange(3)
        if rng.random() < self._any_bands:
            bands = rng.choice(coarse.shape[1], 3)
        images: list[np.ndarray] = []
        targets: list[np.ndarray] = []
        for tile in rng.integers(len(coarse), size=self._batch):
            row, col = rng.integers([length - side + 1 for length in coarse.shape[-2:]])
            turns, flip = int(rng.integers(4)), bool(rng.integers(2))
            for cuts, source, by in ((images, coarse, 1), (targets, self._fine, scale)):
                rows = slice(row * by, (row + side) * by)
                cols = slice(col * by, (col + side) * by)
                cuts.append(turn(source[tile, bands, rows, cols], turns, flip=flip))
        return ScalePair(as_unit(images), as_unit(targets), sensor, scale)


def _whole(tiles: np.ndarray, scale: int) -> np.ndarray:
    """Tiles cut to whole blocks: a sensor that reduced a broken one would shift the image."""
    rows, cols = (side - side % scale for side in tiles.shape[-2:])
    return tiles[..., :rows, :cols]
