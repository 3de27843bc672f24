"""PSNR on a city never seen in training, by the papers' protocol.

The truth is RGB of `naip/val` 2020; the input is the truth reduced by the sensor model and rounded to unsigned bytes;
the results are rounded too. PSNR is that of the full RGB image, averaged over tiles.
"""

from __future__ import annotations

import time
from typing import Annotated

import numpy as np
import torch
import typer
from imagery import command, header, row, tiles
from torch.nn import functional as F

import ultrares
from ultrares.metrics.fidelity import psnr
from ultrares.sensor.models import parse_sensor
from ultrares.types import Mode


def enlarged(coarse: np.ndarray, scale: int) -> np.ndarray:
    """One-step bicubic interpolation (a = -0.5), rounded."""
    image = torch.from_numpy(coarse)[None].float()
    fine = F.interpolate(image, scale_factor=scale, mode="bicubic", antialias=True)
    return fine[0].round().clamp(0, 255).byte().numpy()


def main(
    scales: Annotated[str, typer.Option(help="Scales, separated by commas.")] = "2,4,8",
    model: Annotated[
        str | None, typer.Option(help="A model; the default one if not given.")
    ] = None,
    mode: Annotated[Mode, typer.Option(help="How the model solves.")] = "fidelity",
    sensor: Annotated[str, typer.Option(help="Sensor model of input and result.")] = "bicubic",
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first tiles.")] = None,
) -> None:
    """Print PSNR and gain over bicubic of the mean image, bicubic, cascaded bicubic and a model."""
    loaded = {"bicubic, cascaded": ultrares.load("bicubic"), "": ultrares.load(model)}
    truths = tiles(limit)
    print(f"{len(truths)} tiles, sensor {sensor}, mode {mode}, {torch.get_num_threads()} threads\n")
    header("scale", "method", "PSNR dB", "over bicubic", "s per output megapixel")
    for scale in (int(text) for text in scales.split(",")):
        figures: dict[str, list[tuple[float, float]]] = {}
        for truth in truths:
            reduced = parse_sensor(sensor).degrade(torch.from_numpy(truth)[None].float(), scale)
            coarse = reduced[0].round().clamp(0, 255).byte().numpy()
            mean = np.broadcast_to(truth.mean(axis=(1, 2), keepdims=True).round(), truth.shape)
            figures.setdefault("mean image", []).append((psnr(mean, truth), 0.0))
            start = time.perf_counter()
            plain = enlarged(coarse, scale)
            figures.setdefault("bicubic", []).append(
                (psnr(plain, truth), time.perf_counter() - start)
            )
            for name, one in loaded.items():
                start = time.perf_counter()
                fine = one.upscale(
                    coarse, scale=scale, sensor=sensor, mode=mode if not name else "fidelity"
                )
                seconds = time.perf_counter() - start
                figures.setdefault(name or one.name, []).append((psnr(fine, truth), seconds))
        base = np.mean([value for value, _ in figures["bicubic"]])
        megapixels = truths[0].shape[1] * truths[0].shape[2] / 1e6
        for name, values in figures.items():
            decibels, seconds = np.mean(values, axis=0)
            row(
                f"x{scale}",
                name,
                f"{decibels:.2f}",
                f"{decibels - base:+.2f}",
                f"{seconds / megapixels:.2f}",
            )


if __name__ == "__main__":
    command(main)
