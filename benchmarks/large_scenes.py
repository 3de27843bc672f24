"""Images that are large enough for x16 and x64: true pixels throughout, none of them enlarged."""

from __future__ import annotations

from functools import partial

import numpy as np
import rasterio
import torch
from cases import reduced
from imagery import data_folder, tiles
from rasterio.windows import Window

from ultrares.sensor.models import parse_sensor


def mosaic(side: int) -> np.ndarray:
    """Tiles of `naip/val` side by side: the imagery of training, of another city, with seams between sites."""
    images = np.stack(tiles())
    across = -(-side // images.shape[-1])
    chosen = images[: across * across].reshape(across, across, *images.shape[1:])
    rows = chosen.transpose(2, 0, 3, 1, 4).reshape(3, across * images.shape[-2], -1)
    return rows[:, :side, :side]


def middle(name: str, side: int) -> np.ndarray:
    """The square in the middle of a shared raster, red, green and blue."""
    with rasterio.open(data_folder(".") / name) as raster:
        row, col = (raster.height - side) // 2, (raster.width - side) // 2
        return raster.read([1, 2, 3], window=Window(col, row, side, side))


SCENES = {
    "naip/val, assembled": mosaic,
    "Sentinel-2, 10.7 m": partial(middle, "scenes/sentinel2_scotland.tif"),
    "drone, 1.6 cm": partial(middle, "drone/DJI_0022.JPG"),
    "drone, 1.6 cm, another": partial(middle, "drone/DJI_0032.JPG"),
}
"""Makes the square of a side, by name, in the order that a limit takes them."""


def large_pairs(
    scale: int, side: int, sensor: str, limit: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Coarse images and their truths of ``side`` pixels, unsigned bytes (3, h, w)."""
    truths = [make(side) for make in list(SCENES.values())[:limit]]
    return [(reduced(truth, scale, parse_sensor(sensor)), truth) for truth in truths]


def enlarged(image: np.ndarray, factor: int) -> np.ndarray:
    """Keys' cubic of unsigned bytes, kept in fractions: float32 (3, factor * h, factor * w)."""
    fine = torch.nn.functional.interpolate(
        torch.from_numpy(image)[None].float(), scale_factor=factor, mode="bicubic", antialias=True
    )
    return fine[0].numpy()
