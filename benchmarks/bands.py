"""What guidance by the trained bands gives to the others, on real scenes of four to ten bands."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from itertools import product
from typing import Annotated
from unittest.mock import patch

import numpy as np
import rasterio
import torch
import typer
from imagery import command, data_folder, header, row
from rasterio.errors import NotGeoreferencedWarning
from torch import Tensor

import ultrares
from ultrares.methods import guided_bands
from ultrares.methods.wavediffur import WaveDiffUR
from ultrares.sensor.models import SensorModel, parse_sensor

TRAINED = 3
EDGE = 6
"""Output pixels along the sides that are not counted."""

Weight = Callable[[Tensor], Tensor]
WAYS: dict[str, Weight | None] = {
    "groups alone": None,
    "injected": torch.ones_like,
    "mean of both": lambda share: torch.full_like(share, guided_bands.MOST),
    "weighted by R^2": lambda share: share,
    "R^2, at most half (the product)": lambda share: share.clamp(max=guided_bands.MOST),
}
"""The weight of the carried detail, of the share of variance that the regression explains."""


def read(path: str) -> np.ndarray:
    """A raster's pixels, (C, h, w)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        raster = rasterio.open(path)
    with raster:
        pixels: np.ndarray = raster.read()
    return pixels


def scenes() -> Iterator[tuple[str, np.ndarray]]:
    """Names and pixels, red, green and blue first, sides multiples of 4."""
    path = data_folder("sentinel2") / "S2A_MSIL1C_20170527_T33UUB.mat"
    fine, coarse = (read(f'HDF5:"{path}"://{name}') for name in ("im10", "im20"))
    tile = np.concatenate([halved(fine), coarse])
    yield "Sentinel-2, 20 m, west", tile[..., :144]
    yield "Sentinel-2, 20 m, east", tile[..., 152:296]
    yield "Sentinel-2, 10 m, NIR", fine[:, :304, :304]
    dates = np.load(data_folder("sentinel2") / "eolearn_reference_scenes.npy")
    yield "Sentinel-2, 10 m, NIR, other place", dates[3].transpose(2, 0, 1)[[3, 2, 1, 7], :96, :96]
    landsat = data_folder("landsat")
    yield (
        "Landsat 7, 28.5 m",
        read(f"{landsat}/landsat7_olinda.tif")[[2, 1, 0, 3, 4, 5], :344, :344],
    )
    yield "Landsat composite, 90 m", read(f"{landsat}/2020.tif")[:, 40:296, 200:456]
    for path in sorted(data_folder("cross_sensor").glob("*.npz"))[1::4]:
        pixels = np.load(path)["arr_0"][0, :4]
        yield f"NAIP, 1 m, NIR, {path.stem[-11:]}", pixels.clip(0, 255).astype(np.uint8)


def halved(image: np.ndarray) -> np.ndarray:
    """Means of 2 x 2 pixels."""
    return image.reshape(len(image), image.shape[1] // 2, 2, -1, 2).mean(axis=(2, 4))


def reduced(image: np.ndarray, scale: int, sensor: SensorModel) -> np.ndarray:
    """What the sensor would have taken, in the scene's type."""
    values = sensor.degrade(torch.from_numpy(image.astype(np.float64))[None], scale)[0].numpy()
    return (values.round() if image.dtype == np.uint8 else values).astype(image.dtype)


def psnr_of_bands(fine: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Over 255, or the range between robust percentiles, for each band."""
    inner = (..., slice(EDGE, -EDGE), slice(EDGE, -EDGE))
    error = (fine[inner].astype(np.float64) - truth[inner]) ** 2
    low, high = np.percentile(truth, (0.5, 99.5), axis=(1, 2))
    width = 255.0 if truth.dtype == np.uint8 else high - low
    decibels: np.ndarray = 10 * np.log10(width**2 / error.mean(axis=(1, 2)))
    return decibels


def guided_with(weight: Weight | None, *, heed: bool = True) -> Callable[..., Tensor]:
    """Stand in for the solver's guide, with another weight, or without heed of where a reference is believed."""

    def guide(_: WaveDiffUR, image: Tensor, fine: Tensor, told: Tensor | None = None) -> Tensor:
        if weight is None:
            return fine
        believed = told if heed else None
        return guided_bands.guided(image, fine, TRAINED, believed, weight=weight)

    return guide


def added(gain: np.ndarray) -> str:
    """The mean over bands, and the least."""
    return f"{gain.mean():+.2f} ({gain.min():+.2f})"


def print_alone(loaded: ultrares.Model, scales: list[int], sensor: str) -> None:
    """Every scene by itself, at every scale, in every way."""
    bicubic = ultrares.load("bicubic")
    gains: list[list[float]] = []
    seconds = dict.fromkeys(WAYS, 0.0)
    header("scene", "scale", "bicubic", *WAYS)
    for (name, whole), scale in product(scenes(), scales):
        coarse = reduced(whole, scale, parse_sensor(sensor))
        plain = psnr_of_bands(bicubic.upscale(coarse, scale=scale, sensor=sensor), whole)
        reached = {}
        for way, weight in WAYS.items():
            start = time.process_time()
            with patch.object(WaveDiffUR, "guide", guided_with(weight)):
                fine = loaded.upscale(coarse, scale=scale, sensor=sensor)
            seconds[way] += time.process_time() - start
            reached[way] = psnr_of_bands(fine, whole)[TRAINED:]
        groups, *others = reached.values()
        gains.append([float((other - groups).mean()) for other in others])
        texts = (added(other - groups) for other in others)
        row(name, scale, f"{plain[TRAINED:].mean():.2f}", f"{groups.mean():.2f}", *texts)
    row("mean", "", "", "", *(f"{gain:+.2f}" for gain in np.mean(gains, axis=0)))
    row("worst", "", "", "", *(f"{gain:+.2f}" for gain in np.min(gains, axis=0)))
    row("CPU s", "", "", *(f"{spent:.1f}" for spent in seconds.values()))


def print_with_reference(loaded: ultrares.Model, sensor: str) -> None:
    """The first scene at x2 with its own bands of 10 m as reference: the best that there can be."""
    name, whole = next(scenes())
    coarse = reduced(whole, 2, parse_sensor(sensor))
    half = guided_bands.at_most_half
    guides = (guided_with(None), guided_with(half, heed=False), guided_with(half))
    header(
        "reference", "groups alone", "guided everywhere", "where it is not believed (the product)"
    )
    for bands in (4, 3):
        reached = []
        for guide in guides:
            with patch.object(WaveDiffUR, "guide", guide):
                fine = loaded.upscale(coarse, scale=2, sensor=sensor, reference=whole[:bands])
            reached.append(psnr_of_bands(fine, whole)[TRAINED:])
        groups, *others = reached
        shown = f"{name}: red, green, blue{', NIR' * (bands == 4)}"
        row(shown, f"{groups.mean():.2f}", *(added(other - groups) for other in others))


def main(
    scales: Annotated[str, typer.Option(help="Scales, separated by commas; '' for none.")] = "2,4",
    sensor: Annotated[str, typer.Option(help="Sensor model of input and result.")] = "box",
    model: Annotated[
        str | None, typer.Option(help="A model; the default one if not given.")
    ] = None,
) -> None:
    """Print the mean PSNR of the bands beyond the first three, and what each way adds to groups alone.

    In brackets is the band that gains least, or loses most.
    """
    loaded = ultrares.load(model, precision="fp32")
    if scales:
        print_alone(loaded, [int(text) for text in scales.split(",")], sensor)
    if loaded.uses_reference:
        print()
        print_with_reference(loaded, sensor)


if __name__ == "__main__":
    command(main)
