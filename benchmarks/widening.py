"""How far the draws of a model have to be widened, measured on its training cities: `widening` of its config.json.

The factor on the spread by which mean +- 1.645 spread holds 90 % of the true pixels. It is fitted where the model was
trained, and tested by `uncertainty.py` where it was not.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
import rasterio
import typer
from cases import reduced
from imagery import command, data_folder, header, row
from scipy import stats
from uncertainty import NINETY

import ultrares
from ultrares.sensor.models import parse_sensor


def main(
    scales: Annotated[str, typer.Option(help="Scales, one for each number of levels.")] = "2,4,8",
    limit: Annotated[int, typer.Option(min=1, help="How many tiles.")] = 5,
    draws: Annotated[int, typer.Option(min=2, help="Samples of each tile.")] = 8,
    sensor: Annotated[str, typer.Option(help="Sensor model of input and result.")] = "bicubic",
    model: Annotated[
        str | None, typer.Option(help="A model; the default one if not given.")
    ] = None,
) -> None:
    """Print, for each scale, what the model's own factor holds and the one that would hold 90 %."""
    paths = sorted(data_folder("naip/train").glob("*_2020_*.tif"))
    loaded = ultrares.load(model)
    header("scale", "factor", "inside 90 % interval", "factor for 90 %", "Spearman, least to most")
    for scale in map(int, scales.split(",")):
        ratios, correlations = [], []
        for path in paths[:: len(paths) // limit][:limit]:
            with rasterio.open(path) as raster:
                truth = raster.read([1, 2, 3])
            coarse = reduced(truth, scale, parse_sensor(sensor))
            mean, spread = loaded.upscale_with_spread(
                coarse, scale=scale, draws=draws, sensor=sensor
            )
            error = np.abs(mean.astype(np.float64) - truth)
            ratios.append((error / (NINETY * spread + 1e-9)).ravel())
            correlations.append(stats.spearmanr(spread.ravel(), error.ravel()).statistic)
        ratio, factor = np.concatenate(ratios), loaded.widening(scale) or 1.0
        row(
            f"x{scale}",
            f"{factor:.1f}",
            f"{(ratio <= 1).mean():.3f}",
            f"{factor * np.quantile(ratio, 0.9):.1f}",
            ", ".join(f"{value:.2f}" for value in sorted(correlations)),
        )


if __name__ == "__main__":
    command(main)
