"""Whatever ends a run, the same command goes on and ends in the identical file."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

import ultrares
from tests.scene.conftest import Writer
from ultrares import Model
from ultrares.errors import OutputError
from ultrares.scene.staging import staging_folder

needs_zarr = pytest.mark.skipif(find_spec("zarr") is None, reason="needs the zarr extra")

ROOT = Path(__file__).parents[1]
OPTIONS: dict[str, Any] = {"scale": 4, "tile": 48}


class Enough(Exception):
    """Ends a run between two tiles."""


def run(scene: Path, target: Path, model: Model, *, after: int = 0, **options: Any) -> Any:
    """Upscale, for no more than some tiles if a number is given."""
    seen = []

    def progress(done: int, total: int) -> None:
        seen.append(done)
        if after and len(seen) == after and done < total:
            raise Enough

    return ultrares.upscale_scene(
        scene, target, **(OPTIONS | {"model": model} | options), progress=progress
    )


def left_beside(scene: Path) -> list[str]:
    return [path.name for path in scene.parent.iterdir() if path.name.startswith(".")]


def truth(scene: Path, model: Model, **options: Any) -> bytes:
    target = scene.with_name("truth.tif")
    run(scene, target, model, **options)
    return target.read_bytes()


def test_a_run_in_pieces_is_the_run_at_once(scene: Path, bicubic: Model) -> None:
    whole, target = truth(scene, bicubic), scene.with_name("out.tif")
    for _ in range(2):
        with pytest.raises(Enough):
            run(scene, target, bicubic, after=2)
        assert not target.exists()
    report = run(scene, target, bicubic)
    assert report.resumed == 3
    assert target.read_bytes() == whole
    assert left_beside(scene) == []


def test_tiles_need_not_be_made_in_order(scene: Path, bicubic: Model) -> None:
    whole, target = truth(scene, bicubic), scene.with_name("out.tif")
    with pytest.raises(Enough):
        run(scene, target, bicubic, after=4)
    # The first tiles are lost, so the rest is older than they.
    tiles = sorted(staging_folder(target).rglob("*.tif"))
    tiles[0].unlink()
    tiles[1].write_bytes(tiles[1].read_bytes()[:-9])
    assert run(scene, target, bicubic).resumed == 2
    assert target.read_bytes() == whole


def test_more_or_less_memory_goes_on_with_the_same_tiles(scene: Path, bicubic: Model) -> None:
    whole, target = truth(scene, bicubic), scene.with_name("out.tif")
    with pytest.raises(Enough):
        run(scene, target, bicubic, after=2)
    assert run(scene, target, bicubic, tile=20).resumed == 2
    assert target.read_bytes() == whole


def test_the_uncertainty_goes_on_too(scene: Path, tiny: Model) -> None:
    options: dict[str, Any] = {"mode": "perceptual", "draws": 2, "steps": 1, "scale": 2, "tile": 24}
    spread = scene.with_name("std.tif")
    whole = truth(scene, tiny, uncertainty=spread, **options)
    std = spread.read_bytes()
    spread.unlink()
    target = scene.with_name("out.tif")
    with pytest.raises(Enough):
        run(scene, target, tiny, after=3, uncertainty=spread, **options)
    assert len(left_beside(scene)) == 2
    assert run(scene, target, tiny, uncertainty=spread, **options).resumed == 3
    assert target.read_bytes() == whole
    assert spread.read_bytes() == std
    assert left_beside(scene) == []


def test_all_that_is_written_goes_on(raster: Writer, tiny: Model) -> None:
    pixels = np.random.default_rng(0).integers(1, 255, (2, 40, 50)).astype(np.int16)
    pixels[:, 5:20, 7:30], pixels[0, 30:, 40:] = 0, 0
    scene = raster(pixels, nodata=0)
    names = ["out.tif", "std.tif", "evidence.tif", "out.json"]
    options: dict[str, Any] = {
        "mode": "perceptual",
        "draws": 2,
        "steps": 1,
        "scale": 2,
        "tile": 24,
        "stac": True,
        "evidence": scene.with_name(names[2]),
        "uncertainty": scene.with_name(names[1]),
    }
    target = scene.with_name(names[0])
    run(scene, target, tiny, **options)
    whole = [scene.with_name(name).read_bytes() for name in names]
    with rasterio.open(target) as dataset:
        assert "STATISTICS_MEAN" in dataset.tags(1)
    for name in names:
        scene.with_name(name).unlink()
    with pytest.raises(Enough):
        run(scene, target, tiny, after=3, **options)
    assert len(left_beside(scene)) == 3
    with pytest.raises(OutputError, match="layers evidence, now none"):
        run(scene, target, tiny, **(options | {"evidence": None}))
    assert run(scene, target, tiny, **options).resumed == 3
    assert [scene.with_name(name).read_bytes() for name in names] == whole
    assert left_beside(scene) == []


def test_tiles_without_data_are_counted_when_a_run_goes_on(raster: Writer, bicubic: Model) -> None:
    """They are files without pixels, and the statistics of the whole know how many there were."""
    pixels = np.zeros((2, 48, 60), np.int16)
    pixels[:, 30:, 40:] = np.random.default_rng(0).integers(1, 255, (2, 18, 20))
    scene = raster(pixels, nodata=0)
    whole, target = truth(scene, bicubic), scene.with_name("out.tif")
    with pytest.raises(Enough):
        run(scene, target, bicubic, after=5)
    tiles = sorted(staging_folder(target).glob("tiles/*/*.tif"))
    assert {path.read_bytes()[:4] for path in tiles} == {b"HOLE"}
    assert run(scene, target, bicubic).resumed == len(tiles) == 5
    assert target.read_bytes() == whole


def test_a_tile_that_only_one_of_two_files_has_is_counted_once(scene: Path, bicubic: Model) -> None:
    target, evidence = scene.with_name("out.tif"), scene.with_name("evidence.tif")
    run(scene, target, bicubic, evidence=evidence)
    whole = target.read_bytes()
    target.unlink()
    evidence.unlink()
    with pytest.raises(Enough):
        run(scene, target, bicubic, after=3, evidence=evidence)
    sorted(staging_folder(evidence).rglob("*.tif"))[1].unlink()
    assert run(scene, target, bicubic, evidence=evidence).resumed == 2
    assert target.read_bytes() == whole


def test_workers_make_what_is_left(scene: Path, bicubic: Model) -> None:
    pytest.importorskip("distributed", reason="needs the cluster extra")
    whole, target = truth(scene, bicubic), scene.with_name("out.tif")
    with pytest.raises(Enough):
        run(scene, target, bicubic, after=2)
    seen: list[tuple[int, int]] = []

    def progress(done: int, total: int) -> None:
        seen.append((done, total))

    report = ultrares.upscale_scene(
        scene, target, **OPTIONS, model="bicubic", workers=1, progress=progress
    )
    assert report.resumed == 2
    assert len(seen) == 1 + 4
    assert seen == sorted(seen)
    assert seen[0][0] > 0
    assert seen[-1] == (24 * 30 * 16, 24 * 30 * 16)
    assert target.read_bytes() == whole


def files_in(path: Path) -> dict[str, bytes]:
    """All that a product consists of."""
    files = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
    return {str(file.relative_to(path)): file.read_bytes() for file in files}


@needs_zarr
def test_a_zarr_and_what_is_made_with_it_go_on(scene: Path, tiny: Model) -> None:
    names = ["out.zarr", "std.zarr", "evidence.tif", "out.json"]
    target, *_ = paths = [scene.with_name(name) for name in names]
    options: dict[str, Any] = {
        "mode": "perceptual", "draws": 2, "steps": 1, "scale": 2, "tile": 24, "stac": True,
        "uncertainty": paths[1], "evidence": paths[2],
    }  # fmt: skip
    run(scene, target, tiny, **options)
    whole = [files_in(path) for path in paths]
    for path in paths:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(Enough):
        run(scene, target, tiny, after=3, **options)
    assert len(left_beside(scene)) == 3
    # A larger tile goes on with the shards that there are.
    assert run(scene, target, tiny, **(options | {"tile": 48})).resumed == 3
    assert [files_in(path) for path in paths] == whole
    assert left_beside(scene) == []


@needs_zarr
def test_a_zarr_s_scene_and_options_must_be_the_same(scene: Path, bicubic: Model) -> None:
    target = scene.with_name("out.zarr")
    with pytest.raises(Enough):
        run(scene, target, bicubic, after=2)
    with pytest.raises(OutputError, match="seed 0, now 5"):
        run(scene, target, bicubic, seed=5)
    os.utime(scene, ns=(1, 1))
    with pytest.raises(OutputError, match="source changed"):
        run(scene, target, bicubic)
    assert run(scene, target, bicubic, restart=True).resumed == 0
    assert left_beside(scene) == []


@needs_zarr
def test_workers_make_what_a_zarr_lacks(scene: Path, bicubic: Model) -> None:
    pytest.importorskip("distributed", reason="needs the cluster extra")
    whole, target = scene.with_name("truth.zarr"), scene.with_name("out.zarr")
    run(scene, whole, bicubic)
    with pytest.raises(Enough):
        run(scene, target, bicubic, after=2)
    report = ultrares.upscale_scene(scene, target, **OPTIONS, model="bicubic", workers=1)
    assert report.resumed == 2
    assert files_in(target) == files_in(whole)


def test_other_bands_are_refused(scene: Path, bicubic: Model) -> None:
    target = scene.with_name("out.tif")
    with pytest.raises(Enough):
        run(scene, target, bicubic, after=1, bands=[1])
    with pytest.raises(OutputError, match="bands 1, now default"):
        run(scene, target, bicubic)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"scale": 2}, "scale 4, now 2"),
        ({"sensor": "mtf:0.3"}, r"sensor box, now mtf:0\.3"),
        ({"seed": 5}, "seed 0, now 5"),
    ],
)
def test_another_command_is_refused_unless_it_may_restart(
    scene: Path, bicubic: Model, change: dict[str, Any], sentence: str
) -> None:
    target = scene.with_name("out.tif")
    with pytest.raises(Enough):
        run(scene, target, bicubic, after=1)
    with pytest.raises(OutputError, match=sentence):
        run(scene, target, bicubic, **change)
    assert run(scene, target, bicubic, restart=True, **change).resumed == 0
    assert left_beside(scene) == []


def test_a_changed_scene_is_refused(scene: Path, bicubic: Model) -> None:
    target = scene.with_name("out.tif")
    with pytest.raises(Enough):
        run(scene, target, bicubic, after=1)
    os.utime(scene, ns=(1, 1))
    with pytest.raises(OutputError, match=r"source changed .*, now 1970-01-01"):
        run(scene, target, bicubic)


def test_other_weights_are_refused(scene: Path, tiny: Model, bicubic: Model) -> None:
    target = scene.with_name("out.tif")
    with pytest.raises(Enough):
        run(scene, target, bicubic, after=1)
    with pytest.raises(OutputError, match="model bicubic, now tiny"):
        run(scene, target, tiny)


def test_weights_without_a_checksum_leave_nothing_to_go_on_with(scene: Path) -> None:
    from ultrares.backbones.bicubic import BicubicBackbone

    class Mine(BicubicBackbone):
        name = "mine"

    model = ultrares.load(Mine())
    assert model.manifest.sha256 is None
    with pytest.raises(Enough):
        run(scene, scene.with_name("out.tif"), model, after=1)
    assert left_beside(scene) == []


def test_a_second_job_on_the_target_is_refused(scene: Path, bicubic: Model) -> None:
    target = scene.with_name("out.tif")

    def meanwhile(done: int, total: int) -> None:
        del done, total
        with pytest.raises(OutputError, match=f"is being made by process {os.getpid()}"):
            run(scene, target, bicubic)

    ultrares.upscale_scene(scene, target, **OPTIONS, model=bicubic, progress=meanwhile)
    assert target.exists()


KILLED = """
import os, sys
from pathlib import Path
import ultrares.api
from ultrares.scene import staging
from ultrares.scene.journal import Journal
from ultrares.scene.cog_sink import CogSink
from ultrares.scene.stac_item import StacFile
from ultrares.scene.zarr_sink import ZarrSink
import ultrares.cli.app

source, target = sys.argv[1:]
zarr = target.endswith(".zarr")
Sink = ZarrSink if zarr else CogSink

def die(*_, **__):
    os.kill(os.getpid(), 9)

def after(owner, name, count=1):
    original, calls = getattr(owner, name), []
    def counted(*args, **options):
        result = original(*args, **options)
        calls.append(name)
        if len(calls) == count:
            die()
        return result
    setattr(owner, name, counted)

def in_a_shard():
    from zarr.storage import _local
    original, calls = _local._put, []
    def half(path, value, exclusive=False):
        if "image/c/" in str(path):
            calls.append(path)
        if len(calls) < 2:
            return original(path, value, exclusive)
        data = bytes(value.as_buffer_like())
        for name in (path, path.with_suffix(".0123.partial")):
            path.parent.mkdir(parents=True, exist_ok=True)
            name.write_bytes(data[: len(data) // 2])
        die()
    _local._put = half

MOMENTS = {
    "in a shard": in_a_shard if zarr else None,
    "in a tile's file": lambda: after(staging, "_write", 1 if zarr else 3),
    "before its record": lambda: setattr(Journal, "record", die),
    "after five tiles": lambda: after(Journal, "record", 5),
    "in the metadata": (lambda: setattr(ZarrSink, "_consolidate", die)) if zarr else None,
    "in the product": lambda: setattr(Sink, "_verify", die),
    "after reading back": lambda: after(staging.Staging, "verify"),
    "after publication": lambda: after(Sink, "publish"),
    "after its item": lambda: after(StacFile, "publish"),
}
for moment, prepare in MOMENTS.items():
    if prepare is None:
        continue
    child = os.fork()
    if child == 0:
        prepare()
        ultrares.api.upscale_scene(source, target, scale=4, tile=48, model="bicubic", stac=True)
        os._exit(9)
    status = os.waitpid(child, 0)[1]
    print(moment, status, Path(target).exists(), flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="fork and SIGKILL are POSIX")
@pytest.mark.parametrize("kind", ["tif", pytest.param("zarr", marks=needs_zarr)])
def test_kills_at_the_worst_moments_one_after_the_other(
    scene: Path, bicubic: Model, kind: str
) -> None:
    complete, target = scene.with_name(f"truth.{kind}"), scene.with_name(f"out.{kind}")
    run(scene, complete, bicubic, stac=True)
    whole = files_in(complete)
    item = json.loads(scene.with_name("truth.json").read_bytes())
    words = [sys.executable, "-c", KILLED, str(scene), str(target)]
    said = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    moments = [
        "in a tile's file 9 False",
        "before its record 9 False",
        "after five tiles 9 False",
        "in the product 9 False",
        "after reading back 9 False",
        "after publication 9 True",
        "after its item 9 True",
    ]
    if kind == "zarr":
        moments.insert(0, "in a shard 9 False")
        moments.insert(4, "in the metadata 9 False")
    assert said.splitlines() == moments
    assert files_in(target) == whole
    # Only tidying up is left.
    assert run(scene, target, bicubic, stac=True).resumed == 6
    assert files_in(target) == whole
    found = json.loads(scene.with_name("out.json").read_bytes())
    for same in ("file:size", "bands", *(["file:checksum"] if kind == "tif" else [])):
        assert found["assets"]["product"][same] == item["assets"]["product"][same]
    # What a killed run had not yet named of its item has a random name.
    assert [name for name in left_beside(scene) if ".json." not in name] == []
    with pytest.raises(OutputError, match="exists; pass --overwrite"):
        run(scene, target, bicubic)


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")
@pytest.mark.parametrize(
    ("number", "word", "workers"),
    [
        (signal.SIGINT, "interrupted", None),
        (signal.SIGTERM, "terminated", 1),
    ],
)
def test_signals_keep_what_is_finished(
    raster: Writer, bicubic: Model, number: int, word: str, workers: int | None
) -> None:
    scene = raster(np.random.default_rng(0).integers(0, 255, (3, 120, 120)).astype(np.uint8))
    target = scene.with_name("out.tif")
    options = ["--scale", "4", "--tile", "48", "--model", "bicubic"]
    if workers:
        pytest.importorskip("distributed", reason="needs the cluster extra")
        options += ["--workers", str(workers)]
    with subprocess.Popen(
        [sys.executable, "-m", "ultrares", "upscale", str(scene), str(target), *options],
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as process:
        journal = staging_folder(target) / "journal"
        while not (journal.exists() and journal.stat().st_size > 40):
            time.sleep(0.01)
            assert process.poll() is None
        process.send_signal(number)
        said = process.communicate(timeout=60)[1]
    assert process.returncode == 128 + number
    assert f"ultrares: {word} at" in said
    assert "the same command goes on from there" in said
    assert said.count("\n") == 1
    assert not target.exists()
    assert run(scene, target, bicubic).resumed > 0
    assert target.read_bytes() == truth(scene, bicubic)
