"""Time and peak memory of one 64 x 64 scene from x4 to x128, each as a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Annotated

import psutil
import typer
from imagery import command, header, row, tiles, write_scene


class Watch(threading.Thread):
    """Looks at the resident bytes of a process every now and then, and keeps the most."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.peak = 0
        self._watched = psutil.Process(pid)

    def run(self) -> None:
        """Watch until it ends."""
        while True:
            try:
                resident = self._watched.memory_info().rss
            except psutil.NoSuchProcess:
                return
            if not resident:
                return  # It has ended, and nobody has asked for its status yet.
            self.peak = max(self.peak, resident)
            time.sleep(0.02)


def run(
    arguments: list[str],
    *,
    may_fail: bool = False,
) -> tuple[float, float, dict[str, object]]:
    """Seconds, peak resident gigabytes and the JSON report of the command line.

    It starts no workers. Compiled modules are kept, as they are where nobody forbids it.
    """
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    # Files rather than pipes, which would stop a process that says much while nobody reads.
    with tempfile.TemporaryFile("w+") as said, tempfile.TemporaryFile("w+") as complained:
        start = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "ultrares", *arguments, "--json"],
            stdout=said,
            stderr=complained,
            env=environment,
        )
        watch = Watch(process.pid)
        watch.start()
        process.wait()
        seconds = time.perf_counter() - start
        watch.join()
        said.seek(0)
        complained.seek(0)
        output, complaint = said.read(), complained.read().strip()
    if process.returncode != 0 and not (may_fail and output):
        sys.exit(f"ultrares {' '.join(arguments)} failed: {complaint.splitlines()[-1:]}")
    return seconds, watch.peak / 1e9, json.loads(output)


def main(
    scales: Annotated[str, typer.Option(help="Scales, separated by commas.")] = "4,8,16,32,64,128",
    mode: Annotated[str, typer.Option(help="fidelity or perceptual.")] = "fidelity",
    model: Annotated[
        str | None, typer.Option(help="A model; the default one if not given.")
    ] = None,
) -> None:
    """Print a line per scale: whole-process seconds, output megapixels per second, memory, check.

    The seconds include the start of Python and torch; memory is that of the process,
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
