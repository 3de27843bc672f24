"""The Python face, with models that are quickly made: what it promises, and what it refuses."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch

import ultrares
from tests.scene.conftest import UTM, assert_block_means
from ultrares import Model
from ultrares.backbones.systems import SYSTEMS
from ultrares.cli.app import main
from ultrares.errors import (
    InputError,
    ModelError,
    OptionError,
    OutputError,
    RasterError,
    ReferenceImageError,
    ScaleError,
    UltraresError,
)
from ultrares.reports import UpscaleReport

RNG = np.random.default_rng(0)
MODES = pytest.mark.parametrize("mode", ["fidelity", "perceptual"])


def pixels(path: Path) -> np.ndarray:
    with rasterio.open(path) as dataset:
        return np.asarray(dataset.read())


# --- arrays ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "dtype", ["uint8", "int8", "uint16", "int16", "int32", "uint32", "int64", "float32", "float64"]
)
@pytest.mark.parametrize("kind", ["numpy", "torch"])
def test_an_array_comes_back_as_what_it_was(bicubic: Model, dtype: str, kind: str) -> None:
    array = RNG.integers(0, 120, (2, 5, 7)).astype(dtype)
    image: Any = torch.from_numpy(array) if kind == "torch" else array
    fine = bicubic.upscale(image, scale=3)
    assert type(fine) is type(image)
    assert fine.dtype == image.dtype
    assert fine.shape == (2, 15, 21)
    assert_block_means(np.asarray(fine), array, 3)
    np.testing.assert_array_equal(np.asarray(image), array)


@MODES
@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
@pytest.mark.parametrize("scale", [2, 3])
def test_block_means_are_exact_in_both_modes(
    tiny: Model, mode: Any, dtype: str, scale: int
) -> None:
    low, high = (-300, 3000) if dtype == "int16" else (0, 255)
    array = RNG.uniform(low, high, (3, 9, 8)).astype(dtype)
    array[:, 0, 0], array[:, 0, 1] = low, high
    if dtype == "float32":
        array[0, 4, 4] = np.nan
    fine = tiny.upscale(array, scale=scale, mode=mode)
    valid = np.isfinite(array)
    assert_block_means(fine, array, scale, valid)
    assert np.array_equal(np.isfinite(fine), valid.repeat(scale, 1).repeat(scale, 2))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16"])
@pytest.mark.parametrize("scale", [4, 8, 32, 128])
def test_block_means_are_exact_at_every_scale(bicubic: Model, dtype: str, scale: int) -> None:
    limits = np.iinfo(dtype)
    array = RNG.integers(limits.min, limits.max, (1, 3, 4), endpoint=True).astype(dtype)
    array[0, 1, :3] = limits.min, 0, limits.max
    assert_block_means(bicubic.upscale(array, scale=scale), array, scale)


@MODES
def test_a_single_pixel_can_be_a_scene(tiny: Model, bicubic: Model, mode: Any) -> None:
    array = np.full((1, 1, 1), 200, np.uint8)
    assert_block_means(bicubic.upscale(array, scale=128), array, 128)
    assert_block_means(tiny.upscale(array, scale=4, mode=mode), array, 4)


def test_samples_depend_on_the_seed_and_nothing_else(tiny: Model) -> None:
    array = RNG.random((3, 8, 8)).astype(np.float32)
    one = tiny.upscale(array, scale=2, mode="perceptual", seed=1)
    assert np.array_equal(one, tiny.upscale(array, scale=2, mode="perceptual", seed=1))
    assert not np.array_equal(one, tiny.upscale(array, scale=2, mode="perceptual", seed=2))
    mean = tiny.upscale(array, scale=2, seed=1)
    assert np.array_equal(mean, tiny.upscale(array, scale=2, seed=2)), "a mean has no seed"
    assert not np.array_equal(one, mean)


def test_draws_come_closer_to_their_mean(tiny: Model) -> None:
    # Negative values are allowed, so that nothing is clipped and averaging is linear.
    array = RNG.normal(0, 1, (1, 8, 8)).astype(np.float32)

    def sample(draws: int, seed: int) -> np.ndarray:
        fine: np.ndarray = tiny.upscale(array, scale=2, mode="perceptual", draws=draws, seed=seed)
        return fine

    single = np.std([sample(1, seed) for seed in range(4)], axis=0).mean()
    averaged = np.std([sample(6, seed) for seed in range(4)], axis=0).mean()
    assert averaged < 0.7 * single
    assert_block_means(sample(3, 0), array, 2)


def test_steps_change_a_sample(tiny: Model) -> None:
    array = RNG.random((3, 8, 8)).astype(np.float32)
    few = tiny.upscale(array, scale=2, mode="perceptual", steps=1)
    assert not np.array_equal(few, tiny.upscale(array, scale=2, mode="perceptual", steps=3))


@pytest.mark.parametrize("sensor", ["bicubic", "mtf:0.3"])
def test_other_sensors_are_met_closely(bicubic: Model, sensor: str) -> None:
    from ultrares.sensor.models import parse_sensor

    smooth = np.add.outer(np.arange(16), 2 * np.arange(16)).astype(np.float32)[None] + 5
    array = smooth + RNG.normal(0, 3, smooth.shape).astype(np.float32)
    fine = torch.from_numpy(bicubic.upscale(array, scale=4, sensor=sensor))[None]
    plain = torch.from_numpy(bicubic.upscale(array, scale=4))[None]
    model = parse_sensor(sensor)

    def residual(image: torch.Tensor) -> float:
        off = model.degrade(image, 4)[0] - torch.from_numpy(array)
        return float(off[:, 3:-3, 3:-3].abs().max())

    assert residual(fine) < 0.6 * residual(plain)


@pytest.mark.parametrize(
    ("image", "sentence"),
    [
        (np.ones((4, 4)), r"\(C, H, W\)"),
        ("scene.tif", r"\(C, H, W\)"),
        (np.ones((1, 0, 4)), "without zeros"),
        (np.ones((1, 4, 4), bool), "bool cannot be upscaled"),
        (np.ones((1, 4, 4), complex), "complex128 cannot be upscaled"),
        (torch.ones(1, 4, 4, dtype=torch.float16), "float16 cannot be upscaled"),
        (torch.ones(1, 4, 4, dtype=torch.bfloat16), "bfloat16 cannot be upscaled"),
        (np.full((1, 4, 4), np.nan), "no valid pixel"),
    ],
)
def test_images_that_are_none_are_refused(bicubic: Model, image: Any, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        bicubic.upscale(image, scale=2)


BAD_OPTIONS: list[tuple[dict[str, Any], type[UltraresError], str]] = [
    ({"scale": 0}, ScaleError, "does not enlarge"),
    ({"scale": 1}, ScaleError, "does not enlarge"),
    ({"scale": -4}, ScaleError, "does not enlarge"),
    ({"scale": float("nan")}, ScaleError, "does not enlarge"),
    ({"scale": float("inf")}, ScaleError, "does not enlarge"),
    ({"scale": 0.99}, ScaleError, "does not enlarge"),
    ({"scale": 4096}, ScaleError, "beyond 128"),
    ({"mode": "best"}, OptionError, "unknown mode 'best'"),
    ({"draws": 0}, OptionError, "draws is 0"),
    ({"draws": 1.5}, OptionError, r"draws is 1\.5"),
    ({"steps": 0}, OptionError, "steps is 0"),
    ({"steps": 2.5}, OptionError, r"steps is 2\.5"),
    ({"seed": 0.5}, OptionError, r"seed is 0\.5"),
    ({"sensor": "pinhole"}, OptionError, "unknown sensor 'pinhole'"),
    ({"sensor": "mtf:7"}, OptionError, r"0\.05 and 0\.9"),
    ({"sensor": "mtf:x"}, OptionError, r"0\.05 and 0\.9"),
]
SCENE_OPTIONS: list[tuple[dict[str, Any], type[UltraresError], str]] = [
    ({"memory": "lots"}, OptionError, "memory 'lots' is no amount"),
    ({"memory": "-4GB"}, OptionError, "is no amount"),
    ({"memory": "1MB"}, OptionError, "too little"),
    ({"tile": 0}, OptionError, "tile 0"),
    ({"tile": 1_000_000}, OptionError, "tile 1000000"),
    ({"aoi": (0, 0, 1, 1)}, OptionError, "touches no pixel"),
    ({"aoi": (0, 0, 1)}, OptionError, "four numbers"),
    ({"aoi": (float("nan"), 0, 1, 1)}, OptionError, "four numbers"),
    ({"model": "no-such-model"}, ModelError, "unknown model 'no-such-model': choose .*bicubic"),
    ({"mode": "perceptual"}, ModelError, "'bicubic' has no denoiser"),
    ({"uncertainty": "std.tif"}, OptionError, "--uncertainty needs --mode perceptual and"),
    ({"uncertainty": "std.tif", "draws": 4}, OptionError, "needs --mode perceptual"),
    ({"uncertainty": "std.tif", "mode": "perceptual"}, OptionError, "--draws 2 or more"),
    ({"uncertainty": "no/std.tif", "draws": 2}, OutputError, "folder no does not exist"),
]


@pytest.mark.parametrize(("options", "kind", "sentence"), BAD_OPTIONS)
def test_bad_options_for_arrays_are_refused(
    bicubic: Model, options: dict[str, Any], kind: type[UltraresError], sentence: str
) -> None:
    with pytest.raises(kind, match=sentence):
        bicubic.upscale(np.ones((1, 4, 4), np.uint8), **({"scale": 2} | options))


def test_a_reference_is_refused_by_a_model_that_uses_none(bicubic: Model, scene: Path) -> None:
    image = np.ones((1, 4, 4), np.uint8)
    with pytest.raises(ReferenceImageError, match="uses no reference image"):
        bicubic.upscale(image, scale=2, reference=image)
    with pytest.raises(ReferenceImageError, match="uses no reference image"):
        ultrares.upscale_scene(
            scene, scene.with_name("out.tif"), scale=2, model=bicubic, reference=scene
        )


# --- scenes ---------------------------------------------------------------------------------------


@pytest.fixture
def left_alone(scene: Path) -> Iterator[Path]:
    """A scene beside which nothing may be written."""
    before = sorted(path.name for path in scene.parent.iterdir())
    yield scene
    assert sorted(path.name for path in scene.parent.iterdir()) == before


@MODES
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_tiles_and_areas_change_nothing(
    folder: Path, scene: Path, mode: Any, precision: Any
) -> None:
    model = ultrares.load(folder, precision=precision)

    def run(name: str, **options: Any) -> np.ndarray:
        target = scene.with_name(name)
        ultrares.upscale_scene(scene, target, scale=7, model=model, mode=mode, **options)
        assert ultrares.check(target, scene).problems == []
        return pixels(target)

    whole = run("whole.tif", tile=16384)
    for tile in (64, 128, 200):
        assert np.array_equal(run(f"{tile}.tif", tile=tile), whole)
    left, top = UTM @ (4, 6)
    right, bottom = UTM @ (19, 17)
    part = run("part.tif", aoi=(left, bottom, right, top), tile=64)
    assert np.array_equal(part, whole[:, 42:119, 28:133])


def test_more_than_one_cell_changes_nothing(folder: Path, raster: Any) -> None:
    """140 pixels a side are two cells of 128 at the first level."""
    path = raster(RNG.integers(0, 4000, (1, 140, 20)).astype(np.int16))
    model = ultrares.load(folder, precision="fp32")
    for mode, tiles in (("fidelity", (64, 200)), ("perceptual", (128,))):
        options: dict[str, Any] = {"scale": 2, "model": model, "mode": mode, "overwrite": True}
        ultrares.upscale_scene(path, path.with_name("whole.tif"), tile=16384, **options)
        whole = pixels(path.with_name("whole.tif"))
        for tile in tiles:
            ultrares.upscale_scene(path, path.with_name("tiled.tif"), tile=tile, **options)
            assert np.array_equal(pixels(path.with_name("tiled.tif")), whole)


@pytest.mark.parametrize("scale", [2, 3, 4, 8, 32, 128])
@pytest.mark.parametrize(
    ("dtype", "nodata"), [("uint8", 0), ("uint8", 255), ("uint16", 65535), ("int16", -7)]
)
def test_a_written_scene_is_radiometrically_exact(
    raster: Any,
    bicubic: Model,
    scale: int,
    dtype: str,
    nodata: int,
) -> None:
    limits = np.iinfo(dtype)
    array = RNG.integers(limits.min, limits.max, (2, 5, 4), endpoint=True).astype(dtype)
    array[:, 0] = limits.min, 0, limits.max, nodata
    array[0, 2:4, 1:3] = nodata
    path = raster(array, nodata=nodata)
    target = path.with_name("out.tif")
    ultrares.upscale_scene(path, target, scale=scale, model=bicubic)
    report = ultrares.check(target, path)
    assert report.problems == []
    assert report.radiometry_max == 0
    assert_block_means(pixels(target), array, scale, array != nodata)


def test_the_report_says_what_was_done(scene: Path, bicubic: Model) -> None:
    seen: list[tuple[int, int]] = []
    target = scene.with_name("out.tif")
    report = ultrares.upscale_scene(
        scene,
        target,
        scale=4.0,
        model="bicubic",
        memory="2GB",
        progress=lambda done, total: seen.append((done, total)),
    )
    assert isinstance(report, UpscaleReport)
    assert (report.width, report.height, report.bands, report.scale) == (120, 96, 3, 4)
    assert (report.dtype, report.model, report.mode) == ("uint8", "bicubic", "fidelity")
    assert report.radiometry == "block means exact"
    assert report.to_dict()["target"] == str(target)
    assert seen[-1] == (120 * 96, 120 * 96)
    with rasterio.open(target) as dataset:
        tags = dataset.tags()
    assert (tags["ULTRARES_SCALE"], tags["ULTRARES_SOURCE"]) == ("4", "scene.tif")
    assert (tags["ULTRARES_CONTENT"], tags["ULTRARES_STEPS"]) == ("scene", "none")
    assert tags["ULTRARES_REFERENCE"] == tags["ULTRARES_REFERENCE_SHIFT"] == "none"
    assert (report.reference, report.uncertainty, report.reference_shift) == (None, None, None)
    assert np.array_equal(pixels(target), bicubic_by_array(scene, bicubic))


def bicubic_by_array(scene: Path, model: Model) -> np.ndarray:
    """The scene through the array face, its missing pixels put back; true as bicubic has no range."""
    from ultrares.scene.array_sink import ArraySink
    from ultrares.scene.radiometry import Radiometry
    from ultrares.scene.source import RasterSource
    from ultrares.scene.upscale import upscale
    from ultrares.sensor.models import Box
    from ultrares.types import Shape

    levels = model.levels(4, mode="fidelity", draws=1, steps=None, seed=9, sensor=Box())
    with RasterSource(scene) as source:
        sink = ArraySink(3, Shape(96, 120), source.dtype)
        upscale(source, sink, levels, 4, radiometry=Radiometry.of(source), nodata=0, tile=48)
    return sink.array


@pytest.mark.parametrize(("options", "kind", "sentence"), [*BAD_OPTIONS, *SCENE_OPTIONS])
def test_bad_options_for_scenes_are_refused_and_nothing_is_written(
    left_alone: Path, options: dict[str, Any], kind: type[UltraresError], sentence: str
) -> None:
    target = left_alone.with_name("out.tif")
    defaults: dict[str, Any] = {"scale": 2, "model": "bicubic"}
    with pytest.raises(kind, match=sentence):
        ultrares.upscale_scene(left_alone, target, **(defaults | options))


def refused(source: Path, target: Path, kind: type[UltraresError], sentence: str) -> None:
    with pytest.raises(kind, match=sentence):
        ultrares.upscale_scene(source, target, scale=2, model="bicubic")


def test_sources_that_cannot_be_are_refused(tmp_path: Path, raster: Any) -> None:
    out = tmp_path / "out.tif"
    refused(tmp_path / "nowhere.tif", out, RasterError, r"nowhere\.tif does not exist")
    (tmp_path / "notes.txt").write_text("not a raster")
    refused(tmp_path / "notes.txt", out, RasterError, "is not a raster")
    empty = raster(np.zeros((1, 4, 4), np.uint8), "empty.tif", nodata=0)
    refused(empty, out, RasterError, "has no valid pixel")
    nan = raster(np.full((1, 4, 4), np.nan, np.float32), "nan.tif")
    refused(nan, out, RasterError, "has no valid pixel")
    assert not out.exists()


def test_targets_that_cannot_be_are_refused(
    left_alone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = left_alone.parent
    refused(left_alone, left_alone, OutputError, "is the input itself")
    refused(left_alone, folder, OutputError, "is a folder")
    refused(left_alone, folder / "no" / "out.tif", OutputError, "does not exist")
    monkeypatch.setattr(os, "access", lambda *_: False)
    refused(left_alone, folder / "out.tif", OutputError, "is not writable")


def test_an_existing_target_is_kept_unless_told_otherwise(scene: Path) -> None:
    target = scene.with_name("out.tif")
    target.write_text("precious")
    refused(scene, target, OutputError, "exists; pass --overwrite")
    assert target.read_text() == "precious"
    ultrares.upscale_scene(scene, target, scale=2, model="bicubic", overwrite=True)
    assert ultrares.check(target, scene).ok


def test_the_input_is_not_overwritten_through_a_link(scene: Path) -> None:
    link = scene.with_name("link.tif")
    link.symlink_to(scene)
    before = scene.read_bytes()
    with pytest.raises(OutputError, match="is the input itself"):
        ultrares.upscale_scene(scene, link, scale=2, model="bicubic", overwrite=True)
    assert scene.read_bytes() == before


def test_a_run_that_ends_before_its_first_tile_leaves_nothing(
    left_alone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ultrares.scene.upscale.BlockTiler.make", interrupt)
    with pytest.raises(KeyboardInterrupt):
        ultrares.upscale_scene(
            left_alone, left_alone.with_name("out.tif"), scale=2, model="bicubic"
        )


def test_references_are_looked_at_before_they_are_refused(
    scene: Path,
    raster: Any,
) -> None:
    def refuse(reference: Path, sentence: str, source: Path = scene) -> None:
        with pytest.raises(ReferenceImageError, match=sentence):
            ultrares.upscale_scene(
                source, scene.with_name("out.tif"), scale=2, model="bicubic", reference=reference
            )

    ones = np.ones((1, 8, 8), np.uint8)
    refuse(scene.with_name("nowhere.tif"), "cannot be opened")
    refuse(
        raster(ones, "far.tif", crs="EPSG:31985", transform=UTM @ UTM.translation(900, 0)),
        "not overlap",
    )
    refuse(raster(ones, "here.tif", transform=UTM @ UTM.scale(0.5)), "uses no reference")
    flipped = UTM @ UTM.translation(0, 8) @ UTM.scale(1, -1)
    south_up = raster(ones, "flipped.tif", transform=flipped)
    refuse(south_up, "uses no reference")
    refuse(scene, "uses no reference", south_up)
    plain = scene.with_name("plain.png")
    with (
        pytest.warns(rasterio.errors.NotGeoreferencedWarning),
        rasterio.open(
            plain, "w", driver="PNG", width=8, height=8, count=1, dtype="uint8"
        ) as dataset,
    ):
        dataset.write(ones)
    refuse(plain, "must both have")
    points = [rasterio.control.GroundControlPoint(r, c, c, r) for r, c in ((0, 0), (0, 8), (8, 0))]
    refuse(scene, "must both have", raster(ones, "gcp.tif", gcps=points, transform=None))


# --- models ---------------------------------------------------------------------------------------


def test_models_are_listed_and_described() -> None:
    infos = {info.name: info for info in ultrares.models()}
    assert infos["bicubic"].parameters == 0
    for name, info in infos.items():
        # Systems are there where somebody keeps trained ones.
        assert info.present == (name not in SYSTEMS or info.path is not None)


def test_models_that_cannot_be_are_refused(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ModelError, match=r"unknown model 'nothing': choose .*bicubic"):
        ultrares.load("nothing")
    with pytest.raises(ModelError, match="holds no model"):
        ultrares.load(tmp_path)
    with pytest.raises(OptionError, match="unknown precision 'fp64'"):
        ultrares.load(folder, precision="fp64")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="device 'abacus'"):
        ultrares.load(folder, device="abacus")

    def offline(*_: object, **__: object) -> None:
        raise OSError("no network here\nand a traceback")

    monkeypatch.setattr("huggingface_hub.snapshot_download", offline)
    with pytest.raises(ModelError, match=r"cannot be fetched from the hub: no network here$"):
        ultrares.load("owner/model")


def test_corrupt_weights_are_refused(folder: Path, tmp_path: Path, scene: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    for file in folder.iterdir():
        (broken / file.name).write_bytes(file.read_bytes())
    weights = bytearray((broken / "model.safetensors").read_bytes())
    weights[-5] ^= 0xFF
    (broken / "model.safetensors").write_bytes(weights)
    with pytest.raises(ModelError, match="corrupt"):
        ultrares.upscale_scene(scene, tmp_path / "out.tif", scale=2, model=broken)
    assert not (tmp_path / "out.tif").exists()


# --- degrade --------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [0, 1, 3.5, -2, 4096, float("nan"), float("inf")])
def test_degrade_refuses_impossible_scales(left_alone: Path, scale: float) -> None:
    with pytest.raises(OptionError, match="whole number from 2 to 128"):
        ultrares.degrade(left_alone, left_alone.with_name("coarse.tif"), scale=scale)


def test_degrading_an_upscaled_scene_gives_it_back(scene: Path) -> None:
    fine, coarse = scene.with_name("fine.tif"), scene.with_name("coarse.tif")
    ultrares.upscale_scene(scene, fine, scale=4, model="bicubic")
    report = ultrares.degrade(fine, coarse, scale=4, sensor="box")
    assert (report.width, report.height) == (30, 24)
    assert np.array_equal(pixels(coarse), pixels(scene))
    with rasterio.open(coarse) as again, rasterio.open(scene) as first:
        assert again.transform.almost_equals(first.transform)
        assert again.crs == first.crs


# --- the command line, for a few of the same -------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nowhere.tif", "out.tif", "--scale", "2"], "does not exist"),
        (["scene.tif", "scene.tif", "--scale", "2", "--overwrite"], "is the input itself"),
        (["scene.tif", "out.tif", "--scale", "0.5"], "does not enlarge"),
        (["scene.tif", "out.tif", "--gsd", "1e9"], "does not enlarge"),
        (["scene.tif", "out.tif", "--like", "nowhere.tif"], "nowhere.tif"),
        (["scene.tif", "out.tif", "--scale", "4096"], "beyond 128"),
        (["scene.tif", "no/out.tif", "--scale", "2"], "does not exist"),
        (["scene.tif", "out.tif", "--scale", "2", "--sensor", "eye"], "unknown sensor 'eye'"),
        (["scene.tif", "out.tif", "--scale", "2", "--reference", "no.tif"], "cannot be opened"),
    ],
)
def test_the_command_line_says_one_sentence_and_exits_with_1(
    left_alone: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    arguments: list[str],
    sentence: str,
) -> None:
    monkeypatch.chdir(left_alone.parent)
    with pytest.raises(SystemExit) as stop:
        main(["upscale", *arguments, "--model", "bicubic"])
    out, err = capfd.readouterr()
    assert stop.value.code == 1
    assert out == ""
    assert sentence in err
    assert err.startswith("ultrares: ")
    assert err.count("\n") == 1
    assert "Traceback" not in err


def test_the_command_line_upscales_and_checks(
    scene: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(scene.parent)
    for arguments in (
        ["upscale", "scene.tif", "out.tif", "--scale", "4", "--model", "bicubic"],
        ["check", "out.tif", "scene.tif"],
    ):
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        assert stop.value.code == 0, capfd.readouterr().err
    assert "120 x 96 px, 3 bands uint8" in capfd.readouterr().out


@pytest.mark.parametrize("name", ["fine.png", "fine.json", "fine", "-"])
def test_a_name_that_promises_another_format_is_refused(
    scene: Path, bicubic: Model, tmp_path: Path, name: str
) -> None:
    with pytest.raises(OutputError, match=r"end it in \.tif"):
        ultrares.upscale_scene(scene, tmp_path / name, scale=2, model=bicubic)
    with pytest.raises(OutputError, match=r"end it in \.tif"):
        ultrares.degrade(scene, tmp_path / name, scale=2)
    assert list(tmp_path.iterdir()) == [scene]


def test_degrade_makes_no_zarr(scene: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="degrade makes GeoTIFFs"):
        ultrares.degrade(scene, tmp_path / "coarse.zarr", scale=2)


def test_fidelity_mode_takes_no_draws(scene: Path, tiny: Model, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="fidelity mode draws nothing"):
        ultrares.upscale_scene(scene, tmp_path / "fine.tif", scale=2, model=tiny, draws=4)


def test_a_text_of_bands_is_no_list(scene: Path, bicubic: Model, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"pass a list, such as \['1', '2'\]"):
        ultrares.upscale_scene(scene, tmp_path / "fine.tif", scale=2, model=bicubic, bands="1,2")


def test_a_scale_in_words_is_refused(bicubic: Model) -> None:
    with pytest.raises(ScaleError, match="scale '2' is no number"):
        bicubic.upscale(np.ones((1, 4, 4), np.uint8), scale="2")  # type: ignore[arg-type]


def test_masked_arrays_keep_their_mask_or_are_refused(bicubic: Model) -> None:
    values = RNG.uniform(1, 2, (1, 8, 8)).astype(np.float32)
    values[0, 2:5, 3:6] = -9999
    masked = np.ma.masked_equal(values, -9999)
    expected = bicubic.upscale(np.where(values == -9999, np.nan, values), scale=2)
    np.testing.assert_array_equal(bicubic.upscale(masked, scale=2), expected)
    whole_numbers = np.ma.masked_equal(np.array([[[0, 1], [2, 3]]], np.uint8), 0)
    with pytest.raises(InputError, match="cannot say where it has no data"):
        bicubic.upscale(whole_numbers, scale=2)
    unmasked = np.ma.masked_array(whole_numbers.data)
    np.testing.assert_array_equal(
        bicubic.upscale(unmasked, scale=2), bicubic.upscale(whole_numbers.data, scale=2)
    )


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("./nowhere/model", "does not exist"),
        ("notes.txt", "is no model file: its name has to end in"),
    ],
)
def test_what_is_wrong_with_a_model_s_path_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("notes.txt").touch()
    with pytest.raises(ModelError, match=says):
        ultrares.load(name)


def test_check_says_which_band_names_differ(scene: Path, bicubic: Model, tmp_path: Path) -> None:
    target = tmp_path / "fine.tif"
    ultrares.upscale_scene(scene, target, scale=2, model=bicubic)
    with rasterio.open(scene, "r+") as source:
        source.set_band_description(1, "band 1")
    assert ultrares.check(target, scene).problems == [
        "the band names are none, none, none, but band 1, none, none in the input"
    ]


@pytest.mark.parametrize("name", ["", ".", "/"])
def test_a_result_without_a_name_is_refused(scene: Path, bicubic: Model, name: str) -> None:
    for do in (ultrares.upscale_scene, ultrares.plan_scene):
        with pytest.raises(OutputError, match=r"no name: pass the file to write, ending in \.tif"):
            do(scene, name, scale=2, model=bicubic)
