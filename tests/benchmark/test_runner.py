from __future__ import annotations

import csv
import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch

import ultrares
from tests.benchmark.pixels import read_png
from ultrares.benchmark.baselines import BASELINES
from ultrares.benchmark.cases import case_of, views
from ultrares.benchmark.methods import Shelf, method_of
from ultrares.benchmark.pictures import COARSE, TRUTH, Pictures
from ultrares.benchmark.plan import Condition, DataEntry, ModelEntry, Plan, Role
from ultrares.benchmark.results import RESULTS, Key, Results
from ultrares.benchmark.runner import Request, run
from ultrares.data.catalogue import data_set
from ultrares.errors import InputError, ModelError, OutputError
from ultrares.metrics.fidelity import psnr
from ultrares.metrics.sharpness import average_gradient
from ultrares.nets.carn_m import CarnM
from ultrares.sensor.models import Bicubic, Box


@pytest.fixture
def request_(imagery: Path, tmp_path: Path) -> Request:
    return Request(imagery, tmp_path / "out")


def test_every_cell_has_a_row_with_figures_or_a_reason(plan: Plan, request_: Request) -> None:
    seen: list[tuple[int, int]] = []
    results, tally = run(plan, request_, lambda done, total: seen.append((done, total)))
    labels = [*BASELINES, *(entry.label for entry in plan.models)]
    cells = {(row.key.image, row.key.scale, row.key.label) for row in results.rows if row.key.image}
    assert cells == {(i, s, label) for i in "ab" for s in (2.0, 4.0) for label in labels}
    assert seen == [(n, 24) for n in range(1, 25)]
    assert (tally.done, tally.kept, tally.failed) == (20, 0, 4)
    absent = [row for row in results.rows if row.problem]
    assert {row.key.data for row in absent} == {"aid", "scenes"}
    assert all("AID" in row.problem or "absent.pth" in row.problem for row in absent)
    measured = [row for row in results.rows if not row.problem]
    assert all(row.values["psnr"] > 10 and row.seconds >= 0 for row in measured)
    assert {row.coarse_side for row in measured if row.key.scale == 4} == {16}


def test_the_figures_are_those_of_the_pictures(plan: Plan, request_: Request) -> None:
    results, _ = run(plan, replace(request_, scales=(4.0,)))
    pictures = Pictures(request_.out)
    row = next(row for row in results.rows if row.key.label == "bicubic, cascade")
    fine = read_png(pictures.path(row.key))
    truth = read_png(pictures.path(replace(row.key, label=TRUTH)))
    coarse = read_png(pictures.path(replace(row.key, label=COARSE)))
    assert row.values["psnr"] == pytest.approx(psnr(fine, truth))
    assert row.values["ag"] == pytest.approx(average_gradient(fine))
    assert (coarse.reshape(3, 16, 4, 16, 4) == coarse[:, ::4, None, ::4, None]).all()
    # Only the first image of a data set is shown.
    other = Key("scenes", "b", 4.0, row.key.label)
    assert not pictures.path(other).exists()


class Killed(Exception):
    pass


def test_a_killed_run_goes_on_and_recomputes_nothing(plan: Plan, request_: Request) -> None:
    def kill(done: int, _: int) -> None:
        if done == 7:
            raise Killed

    with pytest.raises(Killed):
        run(plan, request_, kill)
    path = request_.out / RESULTS
    before = path.read_bytes()
    path.write_bytes(before + b"half a li")
    results, tally = run(plan, request_)
    assert path.read_bytes().startswith(before)
    assert (tally.done, tally.kept) == (14, 6)
    again, tally = run(plan, request_)
    assert (tally.done, tally.kept) == (0, 20)
    assert [row.values for row in again.rows] == [row.values for row in results.rows]


def test_a_changed_image_is_measured_again(plan: Plan, request_: Request, imagery: Path) -> None:
    run(plan, request_)
    (imagery / "scenes/a.tif").write_bytes((imagery / "scenes/b.tif").read_bytes())
    results, tally = run(plan, request_)
    assert (tally.done, tally.kept) == (10, 10)
    one, other = (
        [row.values["psnr"] for row in results.rows if row.key.image == image and row.values]
        for image in "ab"
    )
    assert one == other


def test_a_smaller_run_is_part_of_the_larger(plan: Plan, request_: Request) -> None:
    _, small = run(plan, replace(request_, limit=1, scales=(2.0,)))
    _, rest = run(plan, request_)
    assert (small.done, rest.done, rest.kept) == (5, 15, 5)


def test_another_protocol_s_results_are_refused(plan: Plan, request_: Request) -> None:
    run(plan, replace(request_, limit=1))
    for changed in (
        plan.model_copy(update={"sensor": "box"}),
        plan.model_copy(update={"metrics": ("psnr",)}),
        plan.model_copy(update={"name": "other"}),
    ):
        with pytest.raises(OutputError, match="another plan"):
            run(changed, request_)
    more = plan.model_copy(update={"scales": (2.0, 3.0, 4.0)})
    _, tally = run(more, replace(request_, limit=1))
    assert tally.kept == 10


def test_a_row_that_is_none_is_refused(plan: Plan, request_: Request) -> None:
    run(plan, replace(request_, limit=1))
    path = request_.out / RESULTS
    with path.open(newline="") as file:
        *_, last = csv.reader(file)
    last[3] = "four"
    with path.open("a", newline="") as file:
        csv.writer(file).writerow(last)
    with pytest.raises(OutputError, match="no row of results"):
        Results(path, plan)


def test_nothing_to_measure_is_a_sentence(plan: Plan, request_: Request, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none of the scales"):
        run(plan, replace(request_, scales=(5.0,)))
    with pytest.raises(InputError, match=r"not in .*put it there as"):
        run(plan, replace(request_, data=tmp_path))


def test_references_are_given_as_the_row_says(plan: Plan, imagery: Path, tmp_path: Path) -> None:
    """CSP-WaveDiffUR without and with the leak, and a row that asks for what there is not."""
    entries = [{"model": "csp-wavediffur-naip", "reference": kind} for kind in ("leak", "real")]
    changed = Plan.model_validate(
        {
            **plan.model_dump(),
            "data": [{"name": "naip", "truth": 64}],
            "models": [*entries, {"model": "bicubic", "reference": "leak"}],
            "scales": [4],
        }
    )
    results, _ = run(changed, Request(imagery, tmp_path / "out"))
    found = {(row.key.image, row.reference, row.model): row for row in results.rows}
    leak = found["c_2020_2", "leak", "csp-wavediffur-naip"]
    assert leak.values["psnr"] > 15
    assert "another date" in found["c_2020_2", "real", "csp-wavediffur-naip"].problem
    assert not found["c_2020_1", "real", "csp-wavediffur-naip"].problem
    assert "uses no reference" in found["c_2020_1", "leak", "bicubic"].problem


def test_scales_between_whole_numbers(plan: Plan, imagery: Path, tmp_path: Path) -> None:
    between = plan.model_copy(update={"scales": (2.7,), "metrics": ("psnr", "lr_psnr")})
    results, _ = run(between, Request(imagery, tmp_path / "out", limit=1))
    cascade = next(row for row in results.rows if row.key.label == "bicubic, cascade")
    assert cascade.coarse_side == round(64 / 2.7)
    assert math.isfinite(cascade.values["psnr"])
    assert "lr_psnr" not in cascade.values


def test_carn_m_needs_its_weights_where_the_shared_imagery_has_them(tmp_path: Path) -> None:
    shelf, entry = Shelf(tmp_path), ModelEntry(model="carn-m")
    with pytest.raises(ModelError, match="put its state dict at"):
        method_of(entry, shelf)
    path = tmp_path / "peers/carn_m.pth"
    path.parent.mkdir()
    path.write_bytes(b"no weights")
    with pytest.raises(ModelError, match="holds no weights of carn-m"):
        method_of(entry, shelf)
    torch.manual_seed(0)
    torch.save(CarnM().state_dict(), path)
    assert method_of(entry, shelf).parameters == sum(p.numel() for p in CarnM().parameters())


def test_a_folder_of_models_is_looked_into_first(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "models/tiny").mkdir(parents=True)
    shutil.copytree(folder, tmp_path / "models/tiny/model")
    shelf = Shelf(tmp_path, tmp_path / "models")
    assert shelf.load("tiny").manifest.name == "tiny"
    with pytest.raises(ModelError):
        Shelf(tmp_path).load("tiny.pth")


@pytest.mark.parametrize("role", ["alone", "one-step", "cascade"])
def test_roles_differ_as_they_say(imagery: Path, folder: Path, role: Role) -> None:
    """Alone is the backbone's steps; one step is held to the image and the cascade is the model's own."""
    entry = DataEntry(name="scenes", truth=64)
    case = case_of(views(entry, data_set("scenes").find(imagery), 1)[0], 4, Box())
    solve = method_of(ModelEntry(model=str(folder), role=role), Shelf(imagery)).solve
    fine = solve(case)
    means = fine.reshape(3, 16, 4, 16, 4).mean(axis=(2, 4))
    held = np.abs(means - case.coarse).max() < 1e-6
    assert held == (role != "alone")
    cascade = ultrares.load(folder).upscale(case.coarse, scale=4)
    assert np.array_equal(fine, cascade) == (role == "cascade")


def test_the_condition_can_be_reused(imagery: Path, folder: Path) -> None:
    entry = DataEntry(name="scenes", truth=64)
    case = case_of(views(entry, data_set("scenes").find(imagery), 1)[0], 4, Bicubic())
    first, anew = (
        method_of(ModelEntry(model=str(folder), condition=kind), Shelf(imagery)).solve(case)
        for kind in get_args(Condition)[::-1]
    )
    assert first.shape == anew.shape == case.truth.shape
    assert not np.array_equal(first, anew)


def test_an_operator_goes_straight_and_is_no_cascade(imagery: Path) -> None:
    for role in ("alone", "cascade"):
        with pytest.raises(ModelError, match="one-step"):
            method_of(ModelEntry(model="neurop-diff-naip", role=role), Shelf(imagery))
