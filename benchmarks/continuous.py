"""Any scale: what the neural operator and its diffusion gain over bicubic between whole numbers and beyond training.

A tile of 256 x 256 pixels is reduced to 256 / s pixels, rounded, by the sensor model, so the scale that is asked
for is the ratio that was taken. `fixed` is the model that is made for cascades (at scales between, one
level more is made and averaged); `residual` is that model as it comes: to the next lower power of two and the operator
from there on, but between 2 and 4 as `fixed`; `levels` is a cascade of x2 and the operator from there on.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from imagery import command, data_folder, header, row, tiles
from torch.nn import functional as F

import ultrares
from ultrares.api import Model
from ultrares.catalogue import RESIDUAL_MODEL
from ultrares.metrics.fidelity import psnr
from ultrares.metrics.lpips import Lpips
from ultrares.sensor.models import parse_sensor
from ultrares.sensor.reduction import reduce_to

SCALES = "1.5,2,2.7,3.3,4,5.8,8,10"
NAMES = ("bicubic", "operator", "fixed", "residual", "levels", "diffusion")


def enlarged(image: np.ndarray, side: int) -> np.ndarray:
    """Keys' cubic, rounded."""
    fine = F.interpolate(
        torch.from_numpy(image)[None].float(), size=(side, side), mode="bicubic", antialias=True
    )
    return fine[0].round().clamp(0, 255).byte().numpy()


def results(
    models: dict[str, Model], coarse: np.ndarray, side: int, sensor: str
) -> dict[str, np.ndarray]:
    """Every method's image of one tile, unsigned bytes (3, side, side)."""
    scale = side / coarse.shape[-1]

    def run(name: str, mode: str = "fidelity") -> np.ndarray:
        return models[name].upscale(coarse, scale=scale, sensor=sensor, mode=mode)  # type: ignore[arg-type]

    found = {
        "bicubic": enlarged(coarse, side),
        "operator": run("operator"),
        "fixed": run("fixed"),
        "residual": run("residual"),
        "levels": run("levels"),
    }
    if models["operator"].manifest.denoiser is not None:
        found["diffusion"] = run("operator", "perceptual")
    return found


def main(
    limit: Annotated[int, typer.Option(min=1, help="Only the first tiles.")] = 10,
    scales: Annotated[str, typer.Option(help="Scales, separated by commas.")] = SCALES,
    sensor: Annotated[str, typer.Option(help="Sensor model of input and result.")] = "bicubic",
    model: Annotated[str, typer.Option(help="The operator.")] = RESIDUAL_MODEL,
    plot: Annotated[Path | None, typer.Option(help="Also draw the curves as a PNG.")] = None,
) -> None:
    """Print PSNR and LPIPS over the scale."""
    parsed, lpips = parse_sensor(sensor), Lpips(data_folder("metrics"))
    default = ultrares.load()
    models = {
        "operator": ultrares.load(model),
        "residual": default,
        "fixed": default.without_residual(),
        "levels": default.without_x4(),
    }
    truths = tiles(limit)
    print(f"{len(truths)} tiles, sensor {sensor}, PSNR in dB / LPIPS\n")
    names = [name for name in NAMES if name != "diffusion" or models["operator"].manifest.denoiser]
    header("scale", "taken", *names, "operator over bicubic, dB")
    curves: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    taken = []
    for scale in (float(text) for text in scales.split(",")):
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
        for truth in truths:
            side = truth.shape[-1]
            small = round(side / scale)
            reduced = reduce_to(torch.from_numpy(truth)[None].float(), (small, small), parsed)[0]
            coarse = reduced.round().clamp(0, 255).byte().numpy()
            for name, image in results(models, coarse, side, sensor).items():
                found[name].append((psnr(image, truth), lpips(image, truth)))
        means = {name: np.mean(values, axis=0) for name, values in found.items()}
        taken.append(side / small)
        for name in names:
            curves[name].append((float(means[name][0]), float(means[name][1])))
        row(
            f"{scale:g}",
            f"{side / small:.3f}",
            *(f"{means[name][0]:.2f} / {means[name][1]:.3f}" for name in names),
            f"{means['operator'][0] - means['bicubic'][0]:+.2f}",
        )
    if plot is not None:
        draw(plot, taken, curves)


def draw(path: Path, scales: list[float], curves: dict[str, list[tuple[float, float]]]) -> None:
    """PSNR gain over bicubic and LPIPS over the scale."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
    base = np.array([point[0] for point in curves["bicubic"]])
    for number, (name, points) in enumerate(curves.items()):
        values, colour = np.array(points), f"C{number}"
        if name != "bicubic":
            left.plot(scales, values[:, 0] - base, marker="o", markersize=3, color=colour)
        right.plot(scales, values[:, 1], marker="o", markersize=3, color=colour, label=name)
    left.set(xlabel="scale", ylabel="PSNR over bicubic, dB")
    right.set(xlabel="scale", ylabel="LPIPS")
    left.grid(alpha=0.3)
    right.grid(alpha=0.3)
    right.legend(frameon=False)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    command(main)
