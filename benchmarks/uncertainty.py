"""Whether the spread of samples tells how wrong they are: several draws in perceptual mode.

Truth and input are those of `quality.py`. For every pixel of every band, `upscale_with_spread` gives the draws'
mean and their spread, which a model whose widening was measured (on training imagery) has pooled over
neighbours and widened so that mean +- 1.645 spread should hold 90 % of the true values. Reported is the share
that it does hold, and the rank correlation (Spearman) between the spread and the absolute error of the mean.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import Annotated

import numpy as np
import typer
from cases import cases
from imagery import command, header, row
from scipy import stats

import ultrares
from ultrares.errors import OptionError

NINETY = 1.645
"""Standard deviations on each side of the mean that hold 90 % of a Gaussian."""


@dataclass(frozen=True)
class Calibration:
    """How well the spread of one tile fits its error."""

    interval: float
    correlation: float
    std: float
    rmse: float


def calibration(mean: np.ndarray, spread: np.ndarray, truth: np.ndarray) -> Calibration:
    """Compare the spread with the error."""
    error = np.abs(mean.astype(np.float64) - truth)
    return Calibration(
        interval=float((error <= NINETY * spread).mean()),
        correlation=float(stats.spearmanr(spread.ravel(), error.ravel()).statistic),
        std=float(spread.mean()),
        rmse=float(np.sqrt((error**2).mean())),
    )


def main(
    limit: Annotated[int, typer.Option(min=1, help="Only the first tiles.")] = 10,
    draws: Annotated[int, typer.Option(min=2, help="Samples of each tile.")] = 8,
    scale: Annotated[int, typer.Option(help="Scale.")] = 4,
    sensor: Annotated[str, typer.Option(help="Sensor model of input and result.")] = "bicubic",
    model: Annotated[
        str | None, typer.Option(help="A model; the default one if not given.")
    ] = None,
    reference: Annotated[str, typer.Option(help="none, or 2018.")] = "none",
) -> None:
    """Print how often the truth lies inside the interval of the draws, and whether spread follows error."""
    if reference not in ("none", "2018"):
        raise OptionError(f"reference {reference!r}: choose none or 2018")
    loaded = ultrares.load(model)
    results = []
    for case in cases(scale, sensor, limit):
        mean, spread = loaded.upscale_with_spread(
            case.coarse,
            scale=case.scale,
            sensor=sensor,
            reference=case.reference if reference == "2018" else None,
            draws=draws,
        )
        results.append(calibration(mean, spread, case.truth))
    print(
        f"{loaded.name}, x{scale}, {len(results)} tiles, {draws} draws, sensor {sensor}, "
        f"reference {reference}\n"
    )
    header("", "inside 90 % interval", "Spearman", "mean spread, DN", "RMSE of mean, DN")
    figures = np.array([astuple(result) for result in results])
    for name, values in (
        ("mean over tiles", figures.mean(axis=0)),
        ("lowest tile", figures.min(axis=0)),
        ("highest tile", figures.max(axis=0)),
    ):
        row(name, *(f"{value:.{n}f}" for value, n in zip(values, (3, 3, 2, 2), strict=True)))


if __name__ == "__main__":
    command(main)
