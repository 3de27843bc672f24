"""Products as Zarr: the same pixels as the GeoTIFF's, from any raster, and as input again."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import ultrares
from tests.scene.conftest import UTM
from ultrares import Model
from ultrares.api import describe_raster
from ultrares.cli.app import main
from ultrares.metrics.scores import Scores
from ultrares.scene.opening import open_raster
from ultrares.scene.windows import whole

pytest.importorskip("zarr", reason="needs the zarr extra")


def read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    with open_raster(path) as raster:
        return raster.read(whole(raster.shape))


@pytest.mark.parametrize("scale", [3, 2.5])
def test_pixels_and_profile_are_those_of_the_geotiff(
    bicubic: Model, scene: Path, scale: float
) -> None:
    for name in ("sr.tif", "sr.zarr"):
        ultrares.upscale_scene(scene, scene.with_name(name), scale=scale, model=bicubic, tile=20)
    product, geotiff = scene.with_name("sr.zarr"), scene.with_name("sr.tif")
    for ours, theirs in zip(read(product), read(geotiff), strict=True):
        assert np.array_equal(ours, theirs)
    report = ultrares.check(product, scene)
    assert report.problems == ultrares.check(geotiff, scene).problems
    assert report.cog_valid is None
    with open_raster(product) as one, open_raster(geotiff) as other:
        assert one.profile.crs == other.profile.crs
        assert one.profile.transform == other.profile.transform
        mine, told = one.profile.tags[""], other.profile.tags[""]
        assert {key: mine[key] for key in told} == told


def test_an_area_and_an_uncertainty_are_the_crop_of_the_whole(tiny: Model, scene: Path) -> None:
    options = {"scale": 2, "model": tiny, "mode": "perceptual", "draws": 2}
    left, top = UTM @ (4, 6)
    right, bottom = UTM @ (19, 17)
    for name, area in {"whole": None, "part": (left, bottom, right, top)}.items():
        ultrares.upscale_scene(
            scene,
            scene.with_name(f"{name}.zarr"),
            uncertainty=scene.with_name(f"{name}.std.zarr"),
            aoi=area,
            **options,  # type: ignore[arg-type]
        )
    for kind in ("zarr", "std.zarr"):
        part, full = (read(scene.with_name(f"{name}.{kind}"))[0] for name in ("part", "whole"))
        assert np.array_equal(part, full[:, 12:34, 8:38], equal_nan=True)
    assert ultrares.check(scene.with_name("part.zarr"), scene).ok
    assert (
        "it holds the standard deviation"
        in (ultrares.check(scene.with_name("part.std.zarr"), scene).problems[0])
    )


def test_a_zarr_is_an_input_like_any_other(bicubic: Model, scene: Path) -> None:
    first, second = scene.with_name("x2.zarr"), scene.with_name("x6.tif")
    ultrares.upscale_scene(scene, first, scale=2, model=bicubic)
    ultrares.upscale_scene(first, second, scale=3, model=bicubic)
    assert ultrares.check(second, first).problems == []
    assert describe_raster(first)["driver"] == "Zarr v3"


def test_a_product_is_an_input_of_every_command(bicubic: Model, scene: Path) -> None:
    product, geotiff = scene.with_name("sr.zarr"), scene.with_name("sr.tif")
    for target in (product, geotiff):
        ultrares.upscale_scene(scene, target, scale=2, model=bicubic)
    scores = ultrares.evaluate(product, geotiff)
    assert isinstance(scores, Scores)
    assert scores.values["mae_dn"] == 0
    for source in (product, geotiff):
        coarse = source.with_name(f"{source.suffix[1:]}.coarse.tif")
        ultrares.degrade(source, coarse, scale=2, sensor="box")
    ours, theirs = (read(scene.with_name(f"{kind}.coarse.tif")) for kind in ("zarr", "tif"))
    assert np.array_equal(ours, theirs)


def test_info_describes_it(bicubic: Model, scene: Path, capsys: pytest.CaptureFixture[str]) -> None:
    product = scene.with_name("sr.zarr")
    ultrares.upscale_scene(scene, product, scale=2, model=bicubic)
    with pytest.raises(SystemExit) as stop:
        main(["info", str(product), "--asset", "image", "--json"])
    assert stop.value.code == 0
    assert json.loads(capsys.readouterr().out)["width"] == 60
