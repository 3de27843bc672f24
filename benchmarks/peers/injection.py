"""The simplest use of a reference image: its fine detail on top of bicubic interpolation."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch

from peers.interpolation import bicubic_float
from ultrares.sensor.models import SensorModel


def detail(reference: np.ndarray, scale: int, sensor: SensorModel) -> np.ndarray:
    """What the reference (C, H, W) holds beyond its own reduction, enlarged bicubically."""
    image = torch.from_numpy(reference)[None].float()
    reduced = sensor.degrade(image, scale)[0].numpy()
    return reference - bicubic_float(reduced, scale)


def best_gain(pairs: Iterable[tuple[np.ndarray, np.ndarray]]) -> float:
    """The least-squares gain: pairs are what bicubic lacks of the truth, and the reference's detail."""
    product = square = 0.0
    for lacking, added in pairs:
        product += float((lacking.astype(np.float64) * added).sum())
        square += float(np.square(added, dtype=np.float64).sum())
    return product / square if square else 0.0
