"""Whether anything that ends a run leaves a trace: random kill -9, and a file system that fills up.

Each trial upscales a window of the scene in a process of its own, kills it at a random moment (a resumed run
may be killed again), lets the same command end, and compares the file's bytes with those of a run that nobody
touched.
"""

from __future__ import annotations

import hashlib
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import rasterio
import typer
from imagery import command, data_folder, header, row
from rasterio.windows import Window

LEFT, TOP = 1200, 600
"""Where the window of the scene begins."""

TIMEOUT = 1800


@dataclass(frozen=True)
class Task:
    """What is made in each trial."""

    scene: Path
    target: Path
    model: str
    scale: int
    tile: int

    def start(self, limit: int | None = None) -> subprocess.Popen[str]:
        """Start the command, which may write files of ``limit`` bytes at most."""
        options = f"--scale {self.scale} --model {self.model} --tile {self.tile}"
        words = ["upscale", str(self.scene), str(self.target), *options.split()]

        def restrain() -> None:
            if limit is not None:
                signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

        return subprocess.Popen(
            [sys.executable, "-m", "ultrares", *words],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=restrain,
        )

    def finish(self) -> str:
        """Run the command to its end and say what it said."""
        with self.start() as process:
            said = process.communicate(timeout=TIMEOUT)[1]
        if process.returncode and "exists; pass --overwrite" not in said:
            sys.exit(f"the run failed: {said}")
        return said

    @property
    def digest(self) -> str:
        """A hash of the target; of a Zarr, of the names and bytes of all its files."""
        if self.target.is_file():
            return hashlib.blake2s(self.target.read_bytes()).hexdigest()
        found = hashlib.blake2s()
        for path in sorted(path for path in self.target.rglob("*") if path.is_file()):
            content = hashlib.blake2s(path.read_bytes()).hexdigest()
            found.update(f"{path.relative_to(self.target)} {content}\n".encode())
        return found.hexdigest()

    @property
    def size(self) -> int:
        """Bytes of the target."""
        if self.target.is_file():
            return self.target.stat().st_size
        return sum(path.stat().st_size for path in self.target.rglob("*") if path.is_file())

    def look(self) -> None:
        """Read from the target, if it is there: what has its name must be whole."""
        if self.target.is_file():
            with rasterio.open(self.target) as dataset:
                dataset.checksum(1)
        elif self.target.exists() and not (self.target / "zarr.json").is_file():
            sys.exit(f"{self.target.name} is there and is no Zarr")

    def clean(self) -> None:
        """Remove the target; its folder must be gone already."""
        if self.target.is_file():
            self.target.unlink()
        else:
            shutil.rmtree(self.target)
        rest = [path.name for path in self.target.parent.iterdir() if path.name[0] == "."]
        if rest:
            sys.exit(f"left behind: {rest}")


def killed(task: Task, chance: random.Random, seconds: float) -> tuple[int, str]:
    """One trial: how often it was killed, and what the last run said."""
    kills = 0
    while True:
        process = task.start()
        try:
            # Most of a run is no tile: half of the moments lie anywhere, half after the first tile.
            if chance.random() < 0.5:
                wait_for_tile(task, process)
                process.wait(chance.uniform(0, 0.3 * seconds))
            else:
                process.wait(chance.uniform(0, 1.1 * seconds))
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            kills += 1
            task.look()
            if chance.random() < 0.4:
                continue
        else:
            process.communicate()
        return kills, task.finish() if not task.target.exists() or kills else ""


def wait_for_tile(task: Task, process: subprocess.Popen[str]) -> None:
    """Wait until a tile is finished, or the run."""
    journal = task.target.with_name(f".{task.target.name}.ultrares") / "journal"
    known = journal.stat().st_size if journal.exists() else 0
    while process.poll() is None:
        if journal.exists() and journal.stat().st_size > known + 1:
            return
        time.sleep(0.005)


def main(
    kills: Annotated[int, typer.Option(help="Trials.")] = 50,
    side: Annotated[int, typer.Option(help="Side of the window in pixels.")] = 1024,
    scale: Annotated[int, typer.Option(help="Scale.")] = 4,
    model: Annotated[str, typer.Option(help="Model.")] = "bicubic",
    tile: Annotated[int, typer.Option(help="Side of a tile in output pixels.")] = 512,
    seed: Annotated[int, typer.Option(help="Of the moments.")] = 0,
    product: Annotated[str, typer.Option(help="Ending of the target: tif or zarr.")] = "tif",
) -> None:
    """Print a line per trial; exit 1 if a file differs."""
    chance, different = random.Random(seed), 0
    with tempfile.TemporaryDirectory() as folder:
        scene, target = Path(folder, "scene.tif"), Path(folder, f"fine.{product}")
        cut(scene, side)
        task = Task(scene, target, model, scale, tile)
        start = time.monotonic()
        task.finish()
        seconds, truth = time.monotonic() - start, task.digest
        size = task.size
        print(f"uninterrupted: {seconds:.1f} s, {size / 1e6:.1f} MB\n")
        task.clean()
        header("trial", "kills", "tiles there at the end", "bytes")
        for trial in range(kills):
            count, said = killed(task, chance, seconds)
            same = task.digest == truth
            different += not same
            row(trial, count, there(said), "identical" if same else "DIFFERENT")
            task.clean()
        different += full_disk(task, truth, size)
        different += full_tmpfs(task, truth, size, Path(folder, "small"))
    if different:
        sys.exit(f"{different} files differ")


def there(said: str) -> str:
    """How many tiles the last run found, in its own words."""
    lines = [line for line in said.splitlines() if "resuming" in line]
    return lines[0].partition("resuming: ")[2].removesuffix(" are there") if lines else "none"


def last_line(said: str) -> str:
    """What a command said last; a Zarr's shards may all be smaller than a limit, and nothing is wrong."""
    return (said.strip().splitlines() or ["nothing"])[-1]


def full_disk(task: Task, truth: str, size: int) -> int:
    """A disk without room for tiles, and one without room for the product; then there is room."""
    print()
    header("room for a file", "status", "what was said", "bytes after going on")
    different = 0
    for limit in (200, 100_000, size // 3, size - 1000):
        with task.start(limit) as process:
            said = last_line(process.communicate(timeout=TIMEOUT)[1])
        task.finish()
        same = task.digest == truth
        different += not same
        row(limit, process.returncode, said[-150:], "identical" if same else "DIFFERENT")
        task.clean()
    return different


def full_tmpfs(task: Task, truth: str, size: int, place: Path) -> int:
    """A small file system in memory that fills up, and is then enlarged; needs the right to mount."""
    place.mkdir()
    mount = ["mount", "-t", "tmpfs"]
    if subprocess.run([*mount, "-o", f"size={size}", "none", place], check=False).returncode:
        print("\nno file system can be mounted here")
        return 0
    print()
    header("room", "status", "what was said", "bytes after going on")
    different = 0
    there = Task(task.scene, place / task.target.name, task.model, task.scale, task.tile)
    try:
        for room in (size // 3, size, 3 * size // 2):
            resize = ["mount", "-o", f"remount,size={room}", place]
            subprocess.run(resize, check=True)
            with there.start() as process:
                said = last_line(process.communicate(timeout=TIMEOUT)[1])
            subprocess.run(["mount", "-o", f"remount,size={4 * size}", place], check=True)
            there.finish()
            same = there.digest == truth
            different += not same
            row(room, process.returncode, said[-150:], "identical" if same else "DIFFERENT")
            there.clean()
    finally:
        subprocess.run(["umount", place], check=True)
    return different


def cut(scene: Path, side: int) -> None:
    """Write a window of the scene."""
    with rasterio.open(data_folder("scenes") / "sentinel2_scotland.tif") as raster:
        window = Window(LEFT, TOP, side, side)
        profile = raster.profile | {
            "driver": "GTiff",
            "width": side,
            "height": side,
            "transform": raster.window_transform(window),
        }
        with rasterio.open(scene, "w", **profile) as small:
            small.write(raster.read(window=window))


if __name__ == "__main__":
    command(main)
