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
from imagery import command, header, row, tiles, write_scene


def resident(process: psutil.Process) -> int:
    """Resident bytes of a process and all that it started."""
    total = 0
    try:
        for one in (process, *process.children(recursive=True)):
            total += one.memory_info().rss
    except psutil.NoSuchProcess:
        pass  # It ended while it was being asked.
    return total


def run(
    arguments: list[str],
    *,
    may_fail: bool = False,
) -> tuple[float, float, dict[str, object]]:
    """Seconds, peak resident gigabytes and the JSON report of the command line."""
    start = time.perf_counter()
    # Files rather than pipes, which would stop a process that says much while nobody reads.
    with tempfile.TemporaryFile("w+") as said, tempfile.TemporaryFile("w+") as complained:
        process = subprocess.Popen(
            [sys.executable, "-m", "ultrares", *arguments, "--json"],
            stdout=said,
            stderr=complained,
        )
        watched, peak = psutil.Process(process.pid), 0
        while process.poll() is None:
            peak = max(peak, resident(watched))
            time.sleep(0.02)
        seconds = time.perf_counter() - start
        said.seek(0)
        complained.seek(0)
        output, complaint = said.read(), complained.read().strip()
    if process.returncode != 0 and not (may_fail and output):
        sys.exit(f"ultrares {' '.join(arguments)} failed: {complaint.splitlines()[-1:]}")
    return seconds, peak / 1e9, json.loads(output)


def main(
    scales: Annotated[str, typer.Option(help="Scales, separated by commas.")] = "4,8,16,32,64,128",
    mode: Annotated[str, typer.Option(help="fidelity or perceptual.")] = "fidelity",
    model: Annotated[
        str | None, typer.Option(help="A model; the default one if not given.")
    ] = None,
) -> None:
    """Print a line per scale: whole-process seconds, output megapixels per second, memory, check.

    The seconds include the start of Python and torch; memory is that of the process and its children,
    sampled fifty times a second. Exits 1 when a product does not pass `check`.
    """
    failed = False
    header("scale", "output", "seconds", "MPix/s", "peak GB", "check")
    with tempfile.TemporaryDirectory() as folder:
        scene, target = Path(folder, "scene.tif"), Path(folder, "fine.tif")
        write_scene(scene, tiles(1)[0][:, :64, :64])
        for scale in scales.split(","):
            options = ["--scale", scale, "--mode", mode, "--overwrite"]
            options += ["--model", model] if model else []
            seconds, peak, _ = run(["upscale", str(scene), str(target), *options])
            side = 64 * int(scale)
            verdict = run(["check", str(target), str(scene)], may_fail=True)[2]
            row(
                f"x{scale}",
                f"{side} x {side}",
                f"{seconds:.1f}",
                f"{side**2 / 1e6 / seconds:.2f}",
                f"{peak:.2f}",
                "ok" if verdict["ok"] else verdict["problems"],
            )
            failed |= not verdict["ok"]
    if failed:
        sys.exit("a product is not true to its scene")


if __name__ == "__main__":
    command(main)
