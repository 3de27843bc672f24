"""How far the pixels of other processors are from this one's.

The bits of a product are promised for one device and precision. Another processor adds in another order; here it is
this one with fewer of its instructions, or a GPU where there is one.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import rasterio
import torch
import typer
from imagery import command, header, row, tiles, write_scene

SIDE = 96
CASES = {
    "x2": ["--scale", "2"],
    "x3.3": ["--scale", "3.3"],
    "x4": ["--scale", "4"],
    "x16": ["--scale", "16"],
    "perceptual x4": ["--scale", "4", "--mode", "perceptual"],
    "perceptual x8": ["--scale", "8", "--mode", "perceptual"],
    "NeurOp-Diff, perceptual x4": [
        *("--scale", "4", "--mode", "perceptual", "--model", "neurop-diff-naip")
    ],
}


class Device(NamedTuple):
    """Where a scene is upscaled.

    Attributes:
        name: For people.
        options: Of the command line.
        environment: Variables that take instructions from a processor.
    """

    name: str
    options: list[str]
    environment: dict[str, str]


def instructions(aten: str, onednn: str) -> dict[str, str]:
    """The variables by which torch and oneDNN use no more than these."""
    return {"ATEN_CPU_CAPABILITY": aten, "ONEDNN_MAX_CPU_ISA": onednn}


def devices() -> Iterator[Device]:
    """This processor, which the others are compared with, and others."""
    yield Device("as it is", ["--device", "cpu"], {})
    yield Device("one thread", ["--device", "cpu"], {"OMP_NUM_THREADS": "1"})
    yield Device("AVX2", ["--device", "cpu"], instructions("avx2", "AVX2"))
    yield Device("SSE4.1", ["--device", "cpu"], instructions("default", "SSE41"))
    for index in range(torch.cuda.device_count()):
        yield Device(f"cuda:{index}", ["--device", f"cuda:{index}"], {})


def upscaled(scene: Path, target: Path, device: Device, options: list[str]) -> np.ndarray:
    """The pixels that a device makes of a scene."""
    run = [sys.executable, "-m", "ultrares", "upscale", str(scene), str(target)]
    said = subprocess.run(
        [*run, *options, *device.options, "--overwrite"],
        env=os.environ | device.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if said.returncode:
        sys.exit(f"{device.name}, {' '.join(options)}: {said.stderr.strip()}")
    with rasterio.open(target) as product:
        return product.read().astype(int)


def main(
    side: Annotated[int, typer.Option(help="Pixels along a side of the scene.")] = SIDE,
    precisions: Annotated[str, typer.Option(help="Separated by commas.")] = "fp32,bf16",
) -> None:
    """Print the largest difference in digital numbers, and the share of values that differ."""
    this, *others = devices()
    header("precision", "case", *(device.name for device in others))
    with tempfile.TemporaryDirectory() as folder:
        scene, target = Path(folder, "scene.tif"), Path(folder, "fine.tif")
        write_scene(scene, tiles(1)[0][:, :side, :side])
        for precision in precisions.split(","):
            for case, asked in CASES.items():
                options = [*asked, "--precision", precision]
                pixels = upscaled(scene, target, this, options)
                found = []
                for device in others:
                    apart = np.abs(upscaled(scene, target, device, options) - pixels)
                    found.append(f"{apart.max()} ({(apart > 0).mean():.3%})")
                row(precision, case, *found)


if __name__ == "__main__":
    command(main)
