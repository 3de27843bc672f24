"""Training pairs for any scale: an image, places between its pixels, and the truth at them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ultrares.data.pairs import WHOLE, as_unit, degrade_tiles, turn
from ultrares.errors import RasterError
from ultrares.nets.neural_operator import Queries
from ultrares.sensor.models import SensorModel
from ultrares.sensor.reduction import reduce_to

SMALLEST = 16
"""The least side of a reduced crop, in pixels."""


@dataclass(frozen=True)
class ContinuousPair:
    """A batch at one scale.

    Attributes:
        image: What the sensor took, (B, 3, h, w), in [0, 1].
        target: The truth at the places asked for, (B, 3, H, W), in [0, 1].
        queries: The places.
        sensor: The sensor.
        scale: Pixels of the truth per pixel of the image, the ratio that was actually taken.
    """

    image: Tensor
    target: Tensor
    queries: Queries
    sensor: SensorModel
    scale: float

    def to(self, device: torch.device) -> ContinuousPair:
        """The same pair with its pixels on a device."""
        return replace(self, image=self.image.to(device), target=self.target.to(device))


class ContinuousSampler:
    """Draws crops of tiles reduced by scales between 1 and ``largest``, one scale a batch.

    Args:
        tiles: Shape (N, C, H, W), unsigned 8-bit; at least three bands, the first three RGB.
        sensors: Sensors and how often each is drawn.
        largest: The largest scale.
        crop: Largest side of an image, in pixels; large scales leave less of a tile.
        places: Rows and columns that are asked for at random; None asks for all, a multiple of 4 of them.
        truth: Largest side of the truth, in pixels; None for the tiles'.
        batch: Crops in a batch; with ``places``, smaller ones come in larger batches.
        any_bands: Share of batches that show three bands drawn with repetition instead of RGB.
        coarser: Share of batches whose truth is the tile reduced by two.

    Raises:
        RasterError: The tiles are too small for the largest scale.
    """

    def __init__(  # noqa: PLR0913 - what a recipe's data section says, and the places
        self,
        tiles: np.ndarray,
        *,
        sensors: dict[SensorModel, float],
        largest: float,
        crop: int,
        places: int | None,
        truth: int | None = None,
        batch: int,
        any_bands: float,
        coarser: float,
    ) -> None:
        rows, cols = (side - side % WHOLE for side in tiles.shape[-2:])
        side = min(rows, cols) // (2 if coarser else 1)
        if side < SMALLEST * largest:
            raise RasterError(
                f"tiles of {tiles.shape[-1]} x {tiles.shape[-2]} pixels are too small for scales up to "
                f"{largest:g}: pass tiles of at least "
                f"{int(np.ceil(SMALLEST * largest * (2 if coarser else 1)))} pixels"
            )
        self._sensors = list(sensors)
        self._shares = np.array(list(sensors.values())) / sum(sensors.values())
        self._largest, self._crop, self._places = largest, crop, places
        self._batch, self._any_bands, self._coarser = batch, any_bands, coarser
        tiles = tiles[..., :rows, :cols]
        self._truth = (tiles, degrade_tiles(tiles, self._sensors[0], 2) if coarser else tiles)
        self._room = truth or min(rows, cols)

    def draw(self, rng: np.random.Generator) -> ContinuousPair:
        """Draw one batch; all randomness comes from ``rng``."""
        truth = self._truth[int(rng.random() < self._coarser)]
        sensor = self._sensors[rng.choice(len(self._sensors), p=self._shares)]
        # Uniform on (1, largest]; one at the very least would be no enlargement.
        scale = self._largest - rng.random() * (self._largest - 1)
        room = min(*truth.shape[-2:], self._room)
        side = min(self._crop, int(room / scale))
        fine = min(room, max(side + 1, round(scale * side)))
        if self._places is None:
            fine, side = _whole(fine, side)
        batch = self._batch
        if self._places is not None:
            # Where a fixed number of places is asked for, the image is what costs.
            batch *= max(1, (self._crop // side) ** 2 // 2)
        crops = self._crops(rng, truth, fine, batch)
        image = reduce_to(crops, (side, side), sensor).mul(255).round().clamp(0, 255).div(255)
        rows, cols = self._drawn(rng, fine), self._drawn(rng, fine)
        pitch = side / fine
        queries = Queries((rows + 0.5) * pitch, (cols + 0.5) * pitch, (pitch, pitch))
        return ContinuousPair(image, crops[:, :, rows][..., cols], queries, sensor, fine / side)

    def _drawn(self, rng: np.random.Generator, fine: int) -> Tensor:
        if self._places is None or fine <= self._places:
            return torch.arange(fine)
        return torch.from_numpy(np.sort(rng.choice(fine, self._places, replace=False)))

    def _crops(self, rng: np.random.Generator, truth: np.ndarray, side: int, batch: int) -> Tensor:
        bands = np.arange(3)
        if rng.random() < self._any_bands:
            bands = rng.choice(truth.shape[1], 3)
        places = [length - side + 1 for length in truth.shape[-2:]]
        crops = []
        for tile in rng.integers(len(truth), size=batch):
            row, col = rng.integers(places)
            crop = truth[tile, bands, row : row + side, col : col + side]
            crops.append(turn(crop, int(rng.integers(4)), flip=bool(rng.integers(2))))
        return as_unit(crops)


def _whole(fine: int, side: int) -> tuple[int, int]:
    """Sides of truth and image with whole blocks of 4 in the truth, which stays the larger."""
    fine -= fine % 4
    return fine, min(side, fine - 1)
