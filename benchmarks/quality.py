"""Quality on a city never seen in training, by the papers' protocol: one table a scale.

The truth is RGB of `naip/val` 2020; the input is the truth reduced by the sensor model and rounded to unsigned
bytes; the results are rounded too. Every figure is the mean over tiles of the tile's own figure: PSNR and SSIM
(higher is better), LPIPS with AlexNet v0.1 and the spectral angle SAM (lower is better), the average gradient
AG on 0 to 255 and its ratio to the truth's (a ratio above 1 is noise or invention).

Where a reference image is used, it is the same place in 2018. The gain of the high-pass injection is fitted
on these very tiles by least squares, one number a scale, in its favour. Peers reach scales they lack in native steps:
x8 is 4 then 2, x16 is 4 and 4, x32 is 4, 4 and 2; Real-ESRGAN makes 2 of 4 by halving the area.

Seconds are of processor time around the call alone (`time.process_time`), after one call that does not count, a row
and scale. Peers run in float32; ours in what `auto` chooses.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import torch
import typer
from cases import Case, cases
from imagery import command, header, row
from peers.missing import MissingPeerError
from rows import Row, chosen, rows
from scoring import COLUMNS, Measurement, Scorer, cells, keep

from ultrares.errors import UltraresError


def measured(one: Row, tasks: Sequence[Case], scorer: Scorer) -> list[Measurement] | str:
    """A row's figures, or the sentence why there are none."""
    try:
        return scorer.measure(one.key, one.prepare(tasks), tasks)
    except (MissingPeerError, UltraresError) as error:
        return str(error)


def main(
    scales: Annotated[str, typer.Option(help="Scales, separated by commas.")] = "2,4,8,16,32",
    only: Annotated[
        str | None, typer.Option("--rows", help="Keys of rows, separated by commas.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first tiles.")] = None,
    sensor: Annotated[str, typer.Option(help="Sensor model of input and result.")] = "bicubic",
    models: Annotated[
        tuple[str, str], typer.Option(help="Models of Algorithm 1 and 2; '' is the default one.")
    ] = ("wavediffur-naip", ""),
    lpips: Annotated[Path | None, typer.Option(help="Folder of the LPIPS weights.")] = None,
    json: Annotated[Path | None, typer.Option(help="Where to keep per-tile numbers.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Where to keep per-tile numbers.")] = None,
) -> None:
    """Print a table a scale: the peers, the baselines and our models, without and with a reference."""
    selected = chosen(only, rows(models[0], models[1] or None))
    scorer = Scorer(lpips)
    kept: list[Measurement] = []
    for scale in (int(text) for text in scales.split(",")):
        tasks = cases(scale, sensor, limit)
        print(
            f"\n### x{scale}\n\n{len(tasks)} tiles, sensor {sensor}, "
            f"{torch.get_num_threads()} threads\n"
        )
        header("row", "method", *COLUMNS)
        for one in selected:
            result = measured(one, tasks, scorer)
            if isinstance(result, str):
                row(one.key, one.name, result, *[""] * (len(COLUMNS) - 1))
                continue
            row(one.key, one.name, *cells(result))
            kept += result
            keep(kept, json, csv)


if __name__ == "__main__":
    command(main)
