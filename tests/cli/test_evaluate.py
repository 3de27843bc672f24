"""``ultrares evaluate`` hands its options on and says what was found."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from ultrares.evaluation.folders import FolderScores
from ultrares.evaluation.table import Row
from ultrares.metrics.scores import Scores

ONE = Scores(
    {"psnr": 27.123456, "histogram_distance_band_2": math.nan},
    pixels=90,
    valid_share=0.9,
    settings={"peak": "255"},
    notes=("the truth is 9 everywhere",),
)
MANY = FolderScores(
    rows=(
        Row("a", "", {"psnr": 20.0}, 64),
        Row("long", "", {"psnr": 30.0}, 64, notes="half is missing"),
        Row("odd", "", problem="it is 3 x 3 pixels"),
    ),
    means={"psnr": 25.0},
    counts={"psnr": 2},
    sets={"kid[alexnet]": 0.125},
    definitions={"psnr": "p", "kid[alexnet]": "k"},
    notes=("1 of sr without counterpart in hr: x",),
)


def test_a_raster_line_by_line(run, api):
    api.scores = ONE
    outcome = run("evaluate", "sr.tif", "hr.tif")
    assert outcome.status == 0
    assert outcome.stdout.splitlines() == [
        "psnr                       27.123  dB  higher is better  "
        "10 log10(peak^2 / MSE), all bands at once, peak 255",
        "histogram_distance_band_2  -       DN  lower is better   "
        "Wasserstein-1 distance of the histograms, band 2",
        "over 90 pixels, 90.00% of the image",
        "note: the truth is 9 everywhere",
    ]


def test_every_option_is_handed_on(run, api):
    api.scores = ONE
    text = (
        "evaluate sr hr --lr lr --metrics psnr,SSIM --sensor mtf:0.3 --peak 1e4 --scale 4 --tile 512 "
        "--bands 4,red --weights w --csv t.csv"
    )
    assert run(*text.split()).status == 0
    ((name, arguments, options),) = api.calls
    assert (name, arguments) == ("evaluate", (Path("sr"), Path("hr"), Path("lr")))
    assert callable(options.pop("progress"))
    assert options == {
        "metrics": ("psnr", "ssim"),
        "sensor": "mtf:0.3",
        "peak": 1e4,
        "scale": 4.0,
        "tile": 512,
        "bands": ["4", "red"],
        "weights": Path("w"),
        "csv": Path("t.csv"),
    }


def test_a_folder_is_a_table_and_fails_with_its_problems(run, api):
    api.scores = MANY
    outcome = run("evaluate", "sr", "hr")
    assert outcome.status == 1
    assert outcome.stdout.splitlines() == [
        "image  psnr",
        "a      20",
        "long   30",
        "mean   25",
        "kid[alexnet]  0.125    lower is better  k",
        "note: long: half is missing",
        "note: 1 of sr without counterpart in hr: x",
    ]
    assert outcome.stderr == "ultrares: odd: it is 3 x 3 pixels\n"


@pytest.mark.parametrize("found", [ONE, MANY])
def test_json_is_json(run, api, found):
    api.scores = found
    outcome = run("evaluate", "sr", "hr", "--json")

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    assert json.loads(outcome.stdout, parse_constant=refuse) == json.loads(
        json.dumps(found.as_dict())
    )
