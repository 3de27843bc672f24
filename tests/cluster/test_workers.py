"""Real worker processes make the same file as this one alone, whatever happens to them."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pytest
import rasterio

import ultrares
from tests.scene.conftest import UTM, Writer
from ultrares.cluster.gather import IN_FLIGHT, results_from_workers, write_tiles_from_workers
from ultrares.errors import ClusterError, ModelError, OptionError
from ultrares.scene.array_sink import ArraySink
from ultrares.scene.tile import Tile
from ultrares.types import Shape, Window

# The workers cannot import the tests.
cloudpickle.register_pickle_by_value(sys.modules[__name__])

PLACES = [Window(8 * row, 8 * col, 8, 8) for row in range(6) for col in range(4)]


@dataclass(frozen=True)
class Numbered:
    """A job whose tiles hold their own place."""

    name: str = "numbered"
    kinds: bool = False
    sentence: str = ""

    @contextmanager
    def open(self):
        if self.sentence:
            raise ModelError(self.sentence)
        yield self

    def kind(self) -> str:
        return f"process {os.getpid()}" if self.kinds else "any"

    @property
    def places(self) -> list[Window]:
        return PLACES

    def make(self, place: Window) -> Tile:
        pixels = np.full((1, place.height, place.width), 100 * place.row + place.col)
        return Tile(place, pixels, np.ones(pixels.shape, bool))


@dataclass(frozen=True)
class Deadly(Numbered):
    """A job whose tile of one place kills whoever makes it."""

    def make(self, place: Window) -> Tile:
        if place == PLACES[5]:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().make(place)


def whole() -> np.ndarray:
    sink = ArraySink(1, Shape(48, 32), np.dtype(int))
    for place in PLACES:
        tile = Numbered().make(place)
        sink.write(place, tile.pixels, tile.valid)
    return sink.array


def keep(folder: str, tile: Tile) -> str:
    """Store a tile and return the name of its file only."""
    name = f"{tile.place.row}-{tile.place.col}.npy"
    np.save(Path(folder) / name, tile.pixels)
    return name


def test_all_tiles_come_back_and_progress_is_told(client):
    sink = ArraySink(1, Shape(48, 32), np.dtype(int))
    told: list[tuple[int, int]] = []
    write_tiles_from_workers(
        client, Numbered(), PLACES, sink, on_progress=lambda *done: told.append(done)
    )
    np.testing.assert_array_equal(sink.array, whole())
    assert told == [(64 * (n + 1), 48 * 32) for n in range(24)]


def test_no_worker_runs_far_ahead_of_the_writer(client):
    held = 0
    for _ in results_from_workers(client, Numbered(), PLACES):
        on_scheduler = client.run_on_scheduler(
            lambda dask_scheduler: sum("make_tile" in key for key in dask_scheduler.tasks)
        )
        held = max(held, on_scheduler)
    # One more: the released tile of before may not have been forgotten yet.
    assert held <= 2 * IN_FLIGHT + 1


def test_workers_can_store_tiles_themselves(client, tmp_path):
    finish = partial(keep, str(tmp_path))
    names = dict(results_from_workers(client, Numbered(), PLACES, finish))
    assert sorted(names) == sorted(PLACES)
    for place, name in names.items():
        np.testing.assert_array_equal(np.load(tmp_path / name), Numbered().make(place).pixels)


def test_a_worker_that_cannot_begin_is_named_with_its_reason(client):
    job = Numbered(sentence="model 'x' is not here")
    with pytest.raises(ClusterError, match=r"worker tcp://127\.0\.0\.1:\d+ .* 'x' is not here"):
        list(results_from_workers(client, job, PLACES))


def test_workers_that_compute_differently_are_refused(client):
    with pytest.raises(ClusterError, match=r"differently.*process \d+.*process \d+"):
        list(results_from_workers(client, Numbered(kinds=True), PLACES))


@pytest.fixture
def scene(raster: Writer) -> Path:
    array = np.random.default_rng(0).integers(1, 3000, (2, 70, 90)).astype(np.uint16)
    array[:, 10:23, 35:49] = 0
    return raster(array, nodata=0)


AREA = (301_800, 9_110_900, 303_000, 9_112_000)
"""A part of the scene, for models that take their time."""

Upscale = Callable[..., bytes]


@pytest.fixture
def upscale(scene: Path, tmp_path: Path) -> Upscale:
    def run(name: str, **options: Any) -> bytes:
        target = tmp_path / f"{name}.tif"
        uncertainty = options.pop("uncertain", False) and tmp_path / f"{name}_std.tif"
        options = {"model": "bicubic", "scale": 4, "tile": 64, **options}
        ultrares.upscale_scene(scene, target, uncertainty=uncertainty or None, **options)
        files = [target] + ([uncertainty] if uncertainty else [])
        return b"".join(file.read_bytes() for file in files)

    return run


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"aoi": AREA, "tile": 32},
        {"scale": 2.5, "mode": "perceptual", "draws": 2, "uncertain": True, "model": "tiny"},
    ],
    ids=["blocks", "aoi", "areas of draws"],
)
def test_the_file_is_the_same_to_the_byte(cluster, upscale, folder, options):
    if options.get("model") == "tiny":
        options = options | {"model": folder}
    alone = upscale("alone", **options)
    assert upscale("shared", scheduler=cluster.scheduler_address, **options) == alone


@pytest.fixture
def finer(raster: Writer) -> Path:
    """Another image of the scene's place, four times finer, that lacks a corner of it."""
    array = np.random.default_rng(1).integers(1, 3000, (2, 240, 360)).astype(np.uint16)
    array[:, 100:130, 200:240] = 0
    return raster(array, "finer.tif", nodata=0, transform=UTM @ UTM.scale(0.25))


@pytest.mark.filterwarnings("ignore:the reference and the scene hold data together")
def test_a_reference_reaches_the_workers(cluster, upscale, guided_folder, finer):
    options = {"model": guided_folder, "scale": 4, "reference": finer, "tile": 48, "aoi": AREA}
    alone = upscale("alone", **options)
    assert upscale("shared", scheduler=cluster.scheduler_address, **options) == alone
    assert upscale("plain", **(options | {"reference": None})) != alone


@pytest.mark.filterwarnings("ignore:the reference and the scene hold data together")
def test_a_reference_reaches_workers_of_this_machine(upscale, guided_folder, finer, monkeypatch):
    options = {"model": guided_folder, "scale": 2, "tile": 48, "aoi": AREA}
    alone = upscale("alone", reference=finer, **options)
    # Workers have a working directory of their own.
    monkeypatch.chdir(finer.parent)
    assert upscale("shared", reference=finer.name, workers=2, **options) == alone


def stored(folder: Path) -> dict[str, bytes]:
    """All that a Zarr consists of."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize(
    "options",
    [
        {"scale": 4},
        {"scale": 2.5},
        {"scale": 2, "mode": "perceptual", "draws": 2, "steps": 1, "model": "tiny"},
    ],
    ids=["blocks", "areas", "draws"],
)
def test_a_zarr_is_the_same_to_the_byte(cluster, scene, tmp_path, folder, options):
    pytest.importorskip("zarr", reason="needs the zarr extra")
    options = {"model": "bicubic", "tile": 64, "aoi": AREA, **options}
    if options["model"] == "tiny":
        options = options | {"model": folder}
    made = []
    for name, hands in (("alone", {}), ("shared", {"scheduler": cluster.scheduler_address})):
        files = [tmp_path / f"{name}.{kind}.zarr" for kind in ("sr", "evidence", "std")]
        spread = files[2] if "draws" in options else None
        ultrares.upscale_scene(
            scene, files[0], evidence=files[1], uncertainty=spread, **options, **hands
        )
        made.append([stored(file) for file in files])
    assert made[0] == made[1]
    assert len(made[0][0]) > 8


def test_a_killed_worker_costs_its_tiles_only(cluster, client, upscale):
    alone = upscale("alone", tile=32)
    pids = list(client.run(os.getpid).values())
    told: list[int] = []

    def kill_once(done: int, _: int) -> None:
        told.append(done)
        if len(told) == 5:
            os.kill(pids[0], signal.SIGKILL)

    shared = upscale("shared", tile=32, scheduler=cluster.scheduler_address, progress=kill_once)
    assert shared == alone
    client.wait_for_workers(2)
    assert pids[0] not in client.run(os.getpid).values()


def test_the_model_must_have_a_name(cluster, scene, tmp_path, bicubic):
    with pytest.raises(OptionError, match="its name or its path"):
        ultrares.upscale_scene(
            scene, tmp_path / "sr.tif", scale=2, model=bicubic, scheduler=cluster.scheduler_address
        )
    assert not list(tmp_path.glob("*sr.tif*"))


def test_the_tags_do_not_tell_of_workers(cluster, upscale, tmp_path):
    upscale("shared", scheduler=cluster.scheduler_address)
    with rasterio.open(tmp_path / "shared.tif") as dataset:
        tags = dataset.tags()
    assert tags["ULTRARES_MODEL"] == "bicubic"
    assert not [key for key in tags if "WORKER" in key or "SCHEDULER" in key]


def test_tiles_survive_the_loss_of_all_workers(client):
    for pid in client.run(os.getpid).values():
        os.kill(pid, signal.SIGKILL)
    sink = ArraySink(1, Shape(48, 32), np.dtype(int))
    write_tiles_from_workers(client, Numbered(), PLACES, sink)
    np.testing.assert_array_equal(sink.array, whole())


def test_a_tile_that_kills_every_worker_ends_in_a_sentence(client, cluster, monkeypatch):
    monkeypatch.setattr(cluster.scheduler, "allowed_failures", 0)
    with pytest.raises(ClusterError, match="times workers died over the same tile"):
        list(results_from_workers(client, Deadly("deadly"), PLACES))
