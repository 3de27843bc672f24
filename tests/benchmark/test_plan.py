from __future__ import annotations

import re
from pathlib import Path

import pytest

from ultrares.benchmark.plan import Plan, find_plan, known_plans, read_plan
from ultrares.errors import OptionError

TEXT = """
name = "p"
title = "t"
mirrors = "m"
metrics = ["psnr"]
scales = [2]
[[data]]
name = "naip"
truth = 64
[[models]]
model = "bicubic"
"""


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('metrics = ["psnr"]', 'metrics = ["psrn"]', "unknown metric 'psrn'"),
        ('metrics = ["psnr"]', "metrics = []", "metrics"),
        ("scales = [2]", "scales = [1]", "greater than 1"),
        ("scales = [2]", "scales = [256]", "less than or equal to 128"),
        ('name = "naip"', 'name = "cifar"', "unknown data set 'cifar'"),
        ("truth = 64", "truth = 64\ncoarse = 64", "either truth or coarse"),
        ("truth = 64", "", "either truth or coarse"),
        ("truth = 64", "coarse = 64\ncrops = 2", "crops belongs to truth"),
        ('model = "bicubic"', 'model = "bicubic"\nrole = "both"', "role"),
        ('model = "bicubic"', 'model = "bicubic"\nrole = "alone"\nreference = "leak"', "alone"),
        ('model = "bicubic"', 'model = "a"\n[[models]]\nmodel = "a"', "stands twice"),
        ('model = "bicubic"', 'model = "a"\nparts = "model-1"\ncondition = "reuse"', "reuse"),
        ('title = "t"', 'title = "t"\nsubtitle = "s"', "subtitle"),
        ('title = "t"', 'title = "t"\nsensor = "lens"', "unknown sensor 'lens'"),
        ('title = "t"', "title =", "no TOML"),
    ],
)
def test_what_is_wrong_is_said_and_where(tmp_path: Path, old: str, new: str, words: str) -> None:
    path = tmp_path / "p.toml"
    path.write_text(TEXT)
    assert read_plan(path).models[0].label == "bicubic, cascade"
    assert old in TEXT
    path.write_text(TEXT.replace(old, new))
    with pytest.raises(OptionError, match=words) as caught:
        read_plan(path)
    assert str(path) in str(caught.value)


def test_names_are_found_and_unknown_ones_told_the_known() -> None:
    assert {"claims", "ultra-resolution", "continuous", "table-5"} <= set(known_plans())
    assert find_plan("claims").name == "claims.toml"
    with pytest.raises(OptionError, match="ultra-resolution"):
        find_plan("table-99")
    with pytest.raises(OptionError, match="cannot be read"):
        read_plan(Path("absent.toml"))


def test_only_what_figures_depend_on_changes_the_digest(plan: Plan) -> None:
    same = {"title": "other", "scales": (8.0,), "models": plan.models[:1], "claims": "x"}
    assert plan.model_copy(update=same).digest == plan.digest
    for change in ({"sensor": "box"}, {"metrics": ("psnr",)}, {"data": plan.data[:1]}):
        assert plan.model_copy(update=change).digest != plan.digest


def test_the_page_s_plan_and_table_of_plans_are_right(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs/benchmark.md").read_text()
    (text,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    path = tmp_path / "mine.toml"
    path.write_text(text)
    mine = read_plan(path)
    assert mine.models[0].reference == "real"
    path.write_text(text.replace("truth = 256 ", "").replace("# coarse", "coarse"))
    assert read_plan(path).data[0].coarse == 64
    table = page.partition("| plan |")[2].partition("## Read")[0]
    listed = [
        name for line in table.splitlines() for name in line.partition(" | ")[0].split("`")[1::2]
    ]
    assert sorted(listed) == known_plans()
