"""Whether the spread of samples tells how wrong they are: one x4 task, several draws in perceptual mode.

Truth and input are those of `quality.py`. For every pixel of every band the draws give a mean, a standard
deviation (n - 1) and a range. Reported is the share of true values inside

* mean +- 1.645 std sqrt(1 + 1/n), the central 90 % interval for one more draw of a Gaussian. With the standard
  deviation estimated from 8 draws it would hold 86 % of a Gaussian's draws, not 90, and the table says so;
* the range from the smallest draw to the largest, which holds (n - 1)/(n + 1) of further draws of any continuous
  distribution,

and the rank correlation (Spearman) between the spread and the absolute error of the mean. A spread of unsigned
bytes is a little too wide where it is below one digital number.
"""

from __future__ import annotations

import math
from dataclasses import astuple, dataclass
from typing import Annotated

import numpy as np
import typer
from cases import Case, cases
from imagery import command, header, row
from scipy import stats

import ultrares
from ultrares.api import Model
from ultrares.errors import OptionError

NINETY = 1.645
"""Standard deviations on each side of the mean that hold 90 % of a Gaussian."""


@dataclass(frozen=True)
class Sampled:
    """What draws say of each pixel; all of shape (3, H, W).

    ``low`` and ``high`` are None where only the mean and the spread are known.
    """

    mean: np.ndarray
    std: np.ndarray
    low: np.ndarray | None
    high: np.ndarray | None


@dataclass(frozen=True)
class Calibration:
    """How well the spread of one tile fits its error."""

    interval: float
    range: float
    correlation: float
    std: float
    rmse: float


def sampled(model: Model, case: Case, draws: int, reference: np.ndarray | None) -> Sampled:
    """Draws of one tile, with the seeds 0, 1, 2 ...

    A model that offers ``upscale_with_spread`` is asked once; it returns the mean and the standard deviation.
    """
    if hasattr(model, "upscale_with_spread"):
        mean, std = model.upscale_with_spread(
            case.coarse,
            scale=case.scale,
            sensor=case.sensor.name,
            reference=reference,
            draws=draws,
            seed=0,
        )
        return Sampled(mean.astype(np.float64), std.astype(np.float64), None, None)
    stack = np.stack(
        [
            model.upscale(
                case.coarse,
                scale=case.scale,
                sensor=case.sensor.name,
                reference=reference,
                mode="perceptual",
                seed=seed,
            )
            for seed in range(draws)
        ]
    ).astype(np.float64)
    return Sampled(
        stack.mean(axis=0), stack.std(axis=0, ddof=1), stack.min(axis=0), stack.max(axis=0)
    )


def calibration(found: Sampled, truth: np.ndarray, draws: int) -> Calibration:
    """Compare the spread with the error."""
    error = np.abs(found.mean - truth)
    reach = NINETY * found.std * math.sqrt(1 + 1 / draws)
    inside = math.nan
    if found.low is not None and found.high is not None:
        inside = float(((found.low <= truth) & (truth <= found.high)).mean())
    return Calibration(
        interval=float((error <= reach).mean()),
        range=inside,
        correlation=float(stats.spearmanr(found.std.ravel(), error.ravel()).statistic),
        std=float(found.std.mean()),
        rmse=float(np.sqrt((error**2).mean())),
    )


def nominal(draws: int) -> tuple[float, float]:
    """What the interval and the range would hold of one more draw, if it were a Gaussian's."""
    interval = 1 - 2 * stats.t.sf(NINETY, draws - 1)
    return float(interval), (draws - 1) / (draws + 1)


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
        given = case.reference if reference == "2018" else None
        results.append(calibration(sampled(loaded, case, draws, given), case.truth, draws))
    interval, spanned = nominal(draws)
    print(
        f"{loaded.name}, x{scale}, {len(results)} tiles, {draws} draws, sensor {sensor}, "
        f"reference {reference}\n"
    )
    header(
        "", "inside 90 % interval", "inside range", "Spearman", "mean std, DN", "RMSE of mean, DN"
    )
    row(
        "if draws were from the truth's distribution",
        f"{interval:.3f}",
        f"{spanned:.3f}",
        "",
        "",
        "",
    )
    figures = np.array([astuple(result) for result in results])
    for name, values in (
        ("mean over tiles", figures.mean(axis=0)),
        ("lowest tile", figures.min(axis=0)),
    ):
        row(
            name,
            *(f"{value:.{digits}f}" for value, digits in zip(values, (3, 3, 3, 2, 2), strict=True)),
        )


if __name__ == "__main__":
    command(main)
