"""A description that any process makes the same tiles from, or refuses to."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio

import ultrares
from tests.scene.conftest import UTM
from ultrares.errors import ClusterError
from ultrares.job import Job, Origins
from ultrares.scene.grid_choice import grid_of_scale
from ultrares.scene.radiometry import Radiometry
from ultrares.scene.reference_opening import open_reference
from ultrares.scene.source import RasterSource
from ultrares.types import Shape, Window


def job_of(scene: Path, scale: float = 4, model: str = "bicubic") -> Job:
    grid = grid_of_scale(Shape(24, 30), scale)
    return Job(str(scene), grid, Window(0, 0, grid.rows.size, grid.cols.size), model=model, tile=32)


def origins_of(scene: Path, model: str = "bicubic") -> Origins:
    with RasterSource(scene) as source:
        return Origins.of(ultrares.load(model), source, Radiometry.of(source))


def test_it_is_small_and_can_be_a_key(scene):
    job = job_of(scene).sent(origins_of(scene))
    sent = pickle.dumps(job)
    assert len(sent) < 2000
    assert {job: 1}[pickle.loads(sent)] == 1  # noqa: S301 - our own


@pytest.mark.parametrize("scale", [4, 2.5])
def test_its_tiles_are_those_of_the_product(scene, tmp_path, scale):
    ultrares.upscale_scene(scene, tmp_path / "sr.tif", scale=scale, model="bicubic")
    with rasterio.open(tmp_path / "sr.tif") as dataset, job_of(scene, scale).open() as tiler:
        product = dataset.read()
        for place in tiler.places:
            rows = slice(place.row, place.row + place.height)
            cols = slice(place.col, place.col + place.width)
            np.testing.assert_array_equal(tiler.make(place).pixels, product[:, rows, cols])


def test_other_processes_get_paths_from_the_root(scene, folder, monkeypatch):
    monkeypatch.chdir(scene.parent)
    job = replace(job_of(Path(scene.name)), reference="/vsimem/finer.tif")
    sent = job.sent(origins_of(scene))
    assert (sent.source, sent.model, sent.reference) == (str(scene), "bicubic", job.reference)
    monkeypatch.chdir(folder.parent)
    assert replace(job, model="tiny").sent(origins_of(scene)).model == str(folder)


def test_a_scene_that_is_elsewhere_is_named(scene, tmp_path):
    job = replace(job_of(scene), source=str(tmp_path / "gone.tif"))
    with pytest.raises(ClusterError, match=r"cannot read .*gone\.tif.*same path everywhere"):
        job.open().__enter__()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": "9.9"}, "not 9.9: install the same"),
        ({"model": "abc"}, "sha256 None, not abc"),
        ({"scene": "abc"}, "another scene at"),
    ],
)
def test_what_is_not_the_same_everywhere_is_refused(scene, change, words):
    job = job_of(scene).sent(replace(origins_of(scene), **change))
    with pytest.raises(ClusterError, match=words):
        job.open().__enter__()


def test_another_scene_under_the_same_path_is_noticed(scene):
    job = job_of(scene).sent(origins_of(scene))
    with job.open() as tiler:
        tiler.make(tiler.places[0])
    with rasterio.open(scene, "r+") as dataset:
        dataset.write(dataset.read() // 2)
    with pytest.raises(ClusterError, match="another scene"):
        job.open().__enter__()


def test_another_reference_under_the_same_path_is_noticed(scene, raster, guided_folder):
    array = np.random.default_rng(2).integers(1, 255, (3, 96, 120)).astype(np.uint8)
    finer = raster(array, "finer.tif", transform=UTM @ UTM.scale(0.25))
    model, job = ultrares.load(guided_folder), job_of(scene, model=str(guided_folder))
    with RasterSource(scene) as source:
        radiometry = Radiometry.of(source)
        with open_reference(finer, source, radiometry) as guide:
            origins = Origins.of(model, source, radiometry, guide)
    job = replace(job, reference=str(finer)).sent(origins)
    with job.open() as tiler:
        tiler.make(tiler.places[0])
    with rasterio.open(finer, "r+") as dataset:
        dataset.write(array[:, ::-1])
    with pytest.raises(ClusterError, match="another reference at"):
        job.open().__enter__()


def test_how_it_computes_is_said_in_words(scene):
    assert job_of(scene).kind().startswith(("cpu in ", "cuda in "))
