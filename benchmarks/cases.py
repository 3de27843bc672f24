"""The tasks that methods are compared on: a coarse image, and what may help to refine it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from imagery import tiles

from ultrares.errors import OptionError
from ultrares.sensor.models import SensorModel, parse_sensor


@dataclass(frozen=True)
class Case:
    """One tile at one scale; images are unsigned bytes of shape (3, h, w).

    Attributes:
        site: Position of the tile in its city.
        truth: The scene of 2020.
        coarse: The truth reduced by the sensor model and rounded.
        reference: The same place in 2018, of the truth's size.
        elsewhere: Another place in 2018, of the truth's size.
        scale: Truth pixels per coarse pixel, along one side.
        sensor: What reduced the truth.
    """

    site: int
    truth: np.ndarray
    coarse: np.ndarray
    reference: np.ndarray
    elsewhere: np.ndarray
    scale: int
    sensor: SensorModel

    @property
    def megapixels(self) -> float:
        """Millions of output pixels."""
        return self.truth[0].size / 1e6


def cases(scale: int, sensor: str, limit: int | None) -> list[Case]:
    """The first tiles of Chico at one scale; the other place is the next tile, the last one's is the first.

    Raises:
        OptionError: The scale does not divide the tiles.
    """
    parsed = parse_sensor(sensor)
    truths, references = tiles(limit), tiles(year=2018)
    side = truths[0].shape[-1]
    if scale < 2 or side % scale:
        raise OptionError(f"scale {scale}: choose one that divides the {side} pixels of a tile")
    return [
        Case(
            site=site,
            truth=truth,
            coarse=reduced(truth, scale, parsed),
            reference=references[site],
            elsewhere=references[(site + 1) % len(references)],
            scale=scale,
            sensor=parsed,
        )
        for site, truth in enumerate(truths)
    ]


def reduced(truth: np.ndarray, scale: int, sensor: SensorModel) -> np.ndarray:
    """The truth as the sensor would see it, rounded to unsigned bytes."""
    image = sensor.degrade(torch.from_numpy(truth)[None].float(), scale)[0]
    return image.round().clamp(0, 255).byte().numpy()
