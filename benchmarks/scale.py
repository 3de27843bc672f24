"""Time and peak memory of one 64 x 64 scene from x4 to x128, each as a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import psutil
import typer
from imagery import header, row, tiles, write_scene


def run(arguments: list[str]) -> tuple[float, float, dict[str, object]]:
    """Seconds, peak resident gigabytes and the JSON report of the command line."""
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "ultrares.cli.app", *arguments, "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    watched, peak = psutil.Process(process.pid), 0
    while process.poll() is None:
        try:
            peak = max(peak, watched.memory_info().rss)
        except psutil.NoSuchProcess:
            break
        time.sleep(0.05)
    output = process.communicate()[0]
    seconds = time.perf_counter() - start
    if process.returncode != 0:
        sys.exit(f"ultrares {' '.join(arguments)} failed")
    return seconds, peak / 1e9, json.loads(output)


def main(
    scales: Annotated[str, typer.Option(help="Scales, separated by commas.")] = "4,8,16,32,64,128",
    mode: Annotated[str, typer.Option(help="fidelity or perceptual.")] = "fidelity",
    model: Annotated[
        str | None, typer.Option(help="A model; the default one if not given.")
    ] = None,
) -> None:
    """Print a line per scale: whole-process seconds, output megapixels per second, memory, check."""
    header("scale", "output", "seconds", "MPix/s", "peak GB", "check")
    with tempfile.TemporaryDirectory() as folder:
        scene, target = Path(folder, "scene.tif"), Path(folder, "fine.tif")
        write_scene(scene, tiles(1)[0][:, :64, :64])
        for scale in scales.split(","):
            options = ["--scale", scale, "--mode", mode, "--overwrite"]
            options += ["--model", model] if model else []
            seconds, peak, _ = run(["upscale", str(scene), str(target), *options])
            side = 64 * int(scale)
            verdict = run(["check", str(target), str(scene)])[2]
            row(
                f"x{scale}",
                f"{side} x {side}",
                f"{seconds:.1f}",
                f"{side**2 / 1e6 / seconds:.2f}",
                f"{peak:.2f}",
                "ok" if verdict["ok"] else verdict["problems"],
            )


if __name__ == "__main__":
    typer.run(main)
