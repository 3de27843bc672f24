"""Break TIFFs by Hypothesis, upscale them in processes with limits, and tell how each ended.

Good ends are a typed error and a product that `check` accepts; files that claim to be large are looked at only, and those
of which GDAL reads other pixels each time are counted apart. Bad ones any other exception, a process that dies,
takes longer than the limit or needs more memory.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from hypothesis import HealthCheck, Phase, given, seed, settings
from imagery import command, header, row

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.scene.malformed import broken  # noqa: E402 - after its folder is known

GOOD = ("refused", "right", "looked at", "unstable")
BATCH = 100


def generated(count: int, start: int) -> list[bytes]:
    """Different broken TIFFs."""
    found: dict[bytes, None] = {}

    @seed(start)
    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(data=broken())
    def collect(data: bytes) -> None:
        found[data] = None

    collect()
    return list(found)


def ends(paths: list[Path], limit: int, seconds: float) -> Iterator[dict[str, Any]]:
    """How files end, from a process that is started again after each that kills it."""
    while paths:
        done, why = _run(paths, limit, seconds)
        yield from done
        paths = paths[len(done) :]
        if paths:
            yield {"file": paths[0].name, "end": why, "seconds": seconds, "peak": 0}
            paths = paths[1:]


def _run(paths: list[Path], limit: int, seconds: float) -> tuple[list[dict[str, Any]], str]:
    """The results that a process gave before it ended or stood still, and how it ended."""
    worker = [sys.executable, "-X", "faulthandler", "-m", "tests.scene.malformed", str(limit)]
    with tempfile.TemporaryFile("w+") as told, tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            [*worker, *map(str, paths)], stdout=told, stderr=errors, cwd=ROOT, text=True
        )
        known, why = -1, ""
        while not why:
            try:
                status = process.wait(timeout=seconds)
                errors.seek(0)
                said = [line for line in errors.read().splitlines() if line.strip()]
                why = f"died with status {status}: {' | '.join(said[:3])}"
            except subprocess.TimeoutExpired:
                size = told.seek(0, 2)
                if size == known:
                    process.kill()
                    process.wait()
                    why = f"took longer than {seconds:g} s"
                known = size
        told.seek(0)
        return [json.loads(line) for line in told], why


def main(
    count: Annotated[int, typer.Option(help="Cases.")] = 2000,
    start: Annotated[int, typer.Option(help="Seed of the cases.")] = 0,
    memory: Annotated[float, typer.Option(help="Address space of a process in GB.")] = 8.0,
    seconds: Annotated[float, typer.Option(help="Longest time a case may take.")] = 30.0,
    keep: Annotated[Path | None, typer.Option(help="Where files that end badly are kept.")] = None,
) -> None:
    """Exit 1 if any case ends badly."""
    counts: Counter[str] = Counter()
    peak, slowest, bad = 0, 0.0, 0
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for index, data in enumerate(generated(count, start)):
            paths.append(Path(folder, f"{index:05}.tif"))
            paths[-1].write_bytes(data)
        for first in range(0, len(paths), BATCH):
            for result in ends(paths[first : first + BATCH], int(memory * 1e9), seconds):
                good = result["end"] in GOOD
                counts[result["end"] if good else "BAD"] += 1
                peak, slowest = max(peak, result["peak"]), max(slowest, result["seconds"])
                if not good:
                    bad += 1
                    print(f"{result['file']}: {result['end'][:600]}", flush=True)
                    if keep is not None:
                        keep.mkdir(parents=True, exist_ok=True)
                        shutil.copy(Path(folder, result["file"]), keep)
    header("end", "cases")
    for end, number in counts.most_common():
        row(end, number)
    print(f"{len(paths)} cases, slowest {slowest:.2f} s, peak resident memory {peak / 1e6:.0f} MB")
    if bad:
        sys.exit(f"{bad} cases ended badly")


if __name__ == "__main__":
    command(main)
