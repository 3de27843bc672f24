"""Each command hands its options on and says what came back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ultrares.cli.info import looks_like_a_raster


def test_upscale_ends_in_one_line(run, api):
    outcome = run("upscale", "data/scene.tif", "sr.tif", "--scale", "4")
    assert outcome == (
        0,
        "sr.tif  1404 x 1408 px, 6 bands uint8, x4 of scene.tif, block means exact (0 DN), COG, 12.3 s\n",
        "",
    )
    ((name, arguments, options),) = api.calls
    assert name == "upscale_scene"
    assert arguments == ("data/scene.tif", Path("sr.tif"))
    assert callable(options.pop("progress"))
    assert options == {
        "scale": 4.0,
        "gsd": None,
        "like": None,
        "model": None,
        "reference": None,
        "mode": "fidelity",
        "draws": 1,
        "uncertainty": None,
        "evidence": None,
        "asset": None,
        "stac": False,
        "steps": None,
        "seed": 0,
        "sensor": "box",
        "tile": None,
        "memory": None,
        "precision": "auto",
        "device": None,
        "aoi": None,
        "workers": None,
        "scheduler": None,
        "subdataset": None,
        "bands": None,
        "overwrite": False,
        "restart": False,
    }


def test_upscale_hands_every_option_on(run, api):
    text = (
        "upscale in.tif out.tif --scale 3.5 --model m --reference r.tif --mode perceptual --draws 8 "
        "--uncertainty std.tif --steps 20 --seed -7 --sensor mtf:0.3 --tile 128 --memory 4GB --overwrite "
        "--workers 3 --scheduler tcp://there:1 --evidence e.tif --asset b4 --stac --precision fp32 --device cpu"
    )
    outcome = run(
        *text.split(), "--aoi", "-33 -8 -32.5 -7", "--subdataset", "20m", "--bands", "B05, 6"
    )
    assert outcome.status == 0
    options = api.calls[0][2]
    del options["progress"]
    assert options == {
        "scale": 3.5,
        "gsd": None,
        "like": None,
        "model": "m",
        "reference": Path("r.tif"),
        "mode": "perceptual",
        "draws": 8,
        "uncertainty": Path("std.tif"),
        "evidence": Path("e.tif"),
        "asset": "b4",
        "stac": True,
        "steps": 20,
        "seed": -7,
        "sensor": "mtf:0.3",
        "tile": 128,
        "memory": "4GB",
        "precision": "fp32",
        "device": "cpu",
        "aoi": (-33.0, -8.0, -32.5, -7.0),
        "workers": 3,
        "scheduler": "tcp://there:1",
        "subdataset": "20m",
        "bands": ["B05", "6"],
        "overwrite": True,
        "restart": False,
    }


@pytest.mark.parametrize("way", ["--gsd 2.5", "--like grid.tif"])
def test_upscale_takes_a_pixel_size_or_a_grid_instead(run, api, way):
    assert run(*f"upscale in.tif out.tif {way}".split()).status == 0
    ((_, _, options),) = api.calls
    assert options["scale"] is None
    assert {str(options["gsd"]), str(options["like"])} == {way.split()[1], "None"}


@pytest.mark.usefixtures("api")
def test_upscale_names_the_other_files(run):
    text = "upscale in.tif out.tif --scale 2 --reference r.tif --draws 8 --uncertainty std.tif"
    outcome = run(*text.split())
    assert (
        "(0 DN), details from r.tif moved by +0.25 rows -1.50 columns, standard deviation of 8 draws "
        "in std.tif, COG, 12.3 s\n" in outcome.stdout
    )


def test_plan_hands_the_options_of_upscale_on(run, api):
    outcome = run(
        *[
            "plan",
            "in.tif",
            "out.tif",
            "--scale",
            "4",
            "--draws",
            "8",
            "--memory",
            "4GB",
            "--tile",
            "64",
        ]
    )
    assert outcome.status == 0
    assert outcome.stdout.splitlines()[-2:] == ["time       30.0 minutes at 1.00 MPix/s", "fits"]
    ((name, arguments, options),) = api.calls
    assert (name, arguments) == ("plan_scene", ("in.tif", Path("out.tif")))
    run("upscale", "in.tif", "out.tif", "--scale", "4")
    assert set(api.calls[1][2]) - set(options) == {
        "overwrite",
        "restart",
        "progress",
        "workers",
        "scheduler",
        "stac",
    }
    assert (options["scale"], options["draws"], options["memory"], options["tile"]) == (
        4.0,
        8,
        "4GB",
        64,
    )


@pytest.mark.usefixtures("api")
def test_plan_as_json_says_whether_it_fits(run):
    assert json.loads(run("plan", "in.tif", "--scale", "4", "--json").stdout)["fits"] is True


def test_check_is_silent_on_stderr_when_all_is_well(run, api):
    outcome = run("check", "sr.tif", "lr.tif")
    assert outcome.status == 0
    assert outcome.stdout.splitlines() == ["largest residual dn  0", "ok: sr.tif is true to lr.tif"]
    assert outcome.stderr == ""
    assert api.calls == [("check", (Path("sr.tif"), "lr.tif"), {})]


def test_check_exits_1_when_a_problem_is_found(run, api):
    api.problems = ["the footprint differs by 3 m"]
    outcome = run("check", "sr.tif", "lr.tif")
    assert outcome.status == 1
    assert outcome.stdout.splitlines() == [
        "largest residual dn  0",
        "problem: the footprint differs by 3 m",
    ]
    assert outcome.stderr == "ultrares: sr.tif is not true to lr.tif: 1 problem found\n"


def test_check_as_json_still_exits_1(run, api):
    api.problems = ["one", "two"]
    outcome = run("check", "sr.tif", "lr.tif", "--json")
    assert outcome.status == 1
    assert json.loads(outcome.stdout)["problems"] == ["one", "two"]


@pytest.mark.parametrize(
    ("subject", "call"), [("a.tif", "describe_raster"), ("m", "describe_model")]
)
def test_info_describes_files_and_models(run, api, subject, call):
    outcome = run("info", subject)
    assert outcome.status == 0
    assert subject in outcome.stdout
    assert [(name, arguments) for name, arguments, _ in api.calls] == [(call, (subject,))]


def test_info_tells_files_from_models(tmp_path):
    (tmp_path / "raster").touch()
    assert looks_like_a_raster(str(tmp_path / "raster"))
    assert looks_like_a_raster("missing.tif")
    assert looks_like_a_raster("/vsizip/scene")
    assert not looks_like_a_raster(str(tmp_path))
    assert not looks_like_a_raster("somebody/model-x2")
    assert not looks_like_a_raster("model-v0.1")
    assert not looks_like_a_raster("photos_x4.pth")
    assert not looks_like_a_raster("net.onnx")


@pytest.mark.usefixtures("api")
def test_models_are_listed_one_a_line(run):
    outcome = run("models")
    heading, line = outcome.stdout.splitlines()
    assert (
        " ".join(heading.split()) == "name method scales bands parameters licence trained on intact"
    )
    assert " ".join(line.split()) == "double cascade 2, 4, 8 any number 1.2 M Apache-2.0 NAIP yes"


@pytest.mark.usefixtures("api")
def test_where_models_are_and_are_looked_for(run, monkeypatch, tmp_path):
    monkeypatch.setenv("ULTRARES_MODELS", str(tmp_path / "none"))
    lines = [" ".join(line.split()) for line in run("models", "--where").stdout.splitlines()]
    assert lines[0] == "name folder"
    assert lines[1].startswith("double ")
    assert lines[3] == "looked for in"
    assert lines[4].endswith("the package")
    assert f"{tmp_path / 'none'} ULTRARES_MODELS does not exist" in lines


def test_degrade_says_what_it_wrote(run, api):
    outcome = run("degrade", "in.tif", "out.tif", "--scale", "4", "--overwrite")
    assert outcome == (0, "out.tif  40 x 30 px, 1/4 of in.tif, sensor bicubic\n", "")
    assert api.calls == [
        (
            "degrade",
            ("in.tif", Path("out.tif")),
            {
                "scale": 4.0,
                "sensor": "bicubic",
                "asset": None,
                "subdataset": None,
                "bands": None,
                "overwrite": True,
            },
        )
    ]
