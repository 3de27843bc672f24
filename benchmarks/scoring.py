"""What is measured of each result, and how it is averaged, printed and kept."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from cases import Case
from imagery import data_folder

from ultrares.metrics.fidelity import psnr
from ultrares.metrics.lpips import Lpips
from ultrares.metrics.sharpness import average_gradient
from ultrares.metrics.spectral import sam
from ultrares.metrics.ssim import ssim

Method = Callable[[Case], np.ndarray]
"""Turns a case into unsigned bytes of the truth's shape."""

COLUMNS = (
    "PSNR dB",
    "SSIM",
    "LPIPS",
    "SAM deg",
    "AG",
    "AG / true",
    "CPU s per output MPix",
)
DIGITS = (2, 4, 3, 2, 2, 2, 2)


@dataclass(frozen=True)
class Scores:
    """The figures of one result, in the order of the columns."""

    psnr: float
    ssim: float
    lpips: float
    sam: float
    ag: float
    ag_ratio: float
    seconds_per_megapixel: float


@dataclass(frozen=True)
class Measurement:
    """The figures of one method on one tile."""

    row: str
    scale: int
    site: int
    scores: Scores

    def flat(self) -> dict[str, str | int | float]:
        """One line of a table."""
        return {"row": self.row, "scale": self.scale, "site": self.site, **asdict(self.scores)}


class Scorer:
    """Runs methods and compares what they return with the truth."""

    def __init__(self, lpips_weights: Path | None) -> None:
        self._lpips = Lpips(lpips_weights or data_folder("metrics"))

    def measure(self, row: str, method: Method, cases: Sequence[Case]) -> list[Measurement]:
        """Each tile's figures.

        The clock counts the processor's time around the call alone, of all threads, so that other work on the
        machine changes it little; with `OMP_NUM_THREADS=1` it is the time on one idle core. The first tile is done once beforehand, unmeasured, because
        a first call allocates, compiles and chooses kernels.
        """
        method(cases[0])
        measured = []
        for case in cases:
            start = time.process_time()
            fine = method(case)
            seconds = time.process_time() - start
            scores = self.compare(fine, case, seconds)
            measured.append(Measurement(row, case.scale, case.site, scores))
        return measured

    def compare(self, fine: np.ndarray, case: Case, seconds: float) -> Scores:
        """The figures of one result."""
        sharpness = average_gradient(fine)
        return Scores(
            psnr=psnr(fine, case.truth),
            ssim=ssim(fine, case.truth),
            lpips=self._lpips(fine, case.truth),
            sam=sam(fine, case.truth),
            ag=sharpness,
            ag_ratio=sharpness / average_gradient(case.truth),
            seconds_per_megapixel=seconds / case.megapixels,
        )


def cells(measured: Sequence[Measurement]) -> list[str]:
    """The means over tiles, as the columns print them."""
    values = np.array([list(asdict(one.scores).values()) for one in measured]).mean(axis=0)
    return [f"{value:.{digits}f}" for value, digits in zip(values, DIGITS, strict=True)]


def keep(measured: Sequence[Measurement], json_file: Path | None, csv_file: Path | None) -> None:
    """Write the per-tile numbers; done after every row, so that a long run can be stopped."""
    lines = [one.flat() for one in measured]
    if json_file:
        json_file.write_text(json.dumps(lines, indent=1) + "\n", encoding="utf-8")
    if csv_file and lines:
        with csv_file.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(lines[0]))
            writer.writeheader()
            writer.writerows(lines)
