"""Models by name: which folders are looked in, which wins, and what is said of them."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

import ultrares
from ultrares.backbones.systems import SYSTEMS
from ultrares.catalogue import describe_model, locate
from ultrares.errors import ModelError
from ultrares.methods import shelves
from ultrares.methods.shelves import EMBEDDED, all_shelved, shelved


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """Two listed shelves, a cache and a checkout of their own; none exists yet."""
    found = {name: tmp_path / name for name in ("one", "two", "cache", "checkout")}
    monkeypatch.setenv("ULTRARES_MODELS", f"{found['one']}{os.pathsep}{os.pathsep}{found['two']}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(found["cache"]))
    monkeypatch.setattr(shelves, "CHECKOUT", found["checkout"])
    if sys.platform != "linux":
        pytest.skip("the cache is set by XDG_CACHE_HOME here")
    found["cache"] = found["cache"] / "ultrares" / "models"
    return found


def _checkout(places: dict[str, Path]) -> Path:
    """The weights of the checkout, which a project file makes one."""
    (places["checkout"] / "weights").mkdir(parents=True)
    (places["checkout"] / "pyproject.toml").touch()
    return places["checkout"] / "weights"


def test_the_order_is_package_list_cache_checkout(folder: Path, places: dict[str, Path]) -> None:
    shelf = _checkout(places)
    assert [each.folder for each in shelves.shelves()] == [
        EMBEDDED, places["one"], places["two"], places["cache"], shelf,
    ]  # fmt: skip
    for holder in (shelf, places["cache"], places["two"], places["one"]):
        shutil.copytree(folder, holder / "mine")
        assert shelved("mine") == locate("mine") == holder / "mine"
    assert [path for path in all_shelved() if path.name == "mine"] == [places["one"] / "mine"]


def test_without_a_project_file_there_is_no_checkout(folder: Path, places: dict[str, Path]) -> None:
    shutil.copytree(folder, places["checkout"] / "weights" / "mine")
    assert shelved("mine") is None


def test_the_package_s_own_cannot_be_replaced(folder: Path, places: dict[str, Path]) -> None:
    shutil.copytree(folder, places["one"] / "wavediffur-naip")
    assert locate("wavediffur-naip").parent == EMBEDDED


def test_a_model_on_a_shelf_is_listed_under_its_folder_and_loads(
    folder: Path, places: dict[str, Path]
) -> None:
    shutil.copytree(folder, places["cache"] / "mine")
    info = {each.name: each for each in ultrares.models()}["mine"]
    assert (info.present, info.path) == (True, str(places["cache"] / "mine"))
    assert describe_model("mine")["path"] == info.path
    assert ultrares.load("mine", precision="fp32").manifest == ultrares.load(folder).manifest


def test_a_system_on_a_shelf_takes_the_place_of_its_empty_line(
    folder: Path, places: dict[str, Path]
) -> None:
    assert {each.name: each.present for each in ultrares.models()}["sr3"] is False
    with pytest.raises(ModelError, match="copy that folder as sr3 to one that `ultrares models"):
        ultrares.load("sr3")
    shutil.copytree(folder, places["two"] / "sr3")
    names = [each.name for each in ultrares.models()]
    assert names.count("sr3") == 1
    assert set(SYSTEMS) <= set(names)
    assert ultrares.load("sr3").name == "tiny"


def test_a_folder_that_cannot_be_read_says_why_and_hides_no_other(
    folder: Path, places: dict[str, Path]
) -> None:
    shutil.copytree(folder, places["one"] / "half")
    (places["one"] / "half" / "model.safetensors").unlink()
    (places["one"] / "bad").mkdir()
    (places["one"] / "bad" / "config.json").write_text("{}")
    infos = {each.name: each for each in ultrares.models()}
    assert not infos["half"].present
    assert (infos["bad"].method, infos["bad"].present) == ("unreadable", False)
    assert "config.json is not valid at name" in infos["bad"].trained_on
    assert "csp-wavediffur-naip" in infos


def test_a_path_is_no_name(folder: Path, places: dict[str, Path]) -> None:
    shutil.copytree(folder, places["one"] / "mine")
    assert shelved(places["one"] / "mine") is None
    assert shelved("./mine") is None
    assert shelved("") is None
    assert locate(places["one"] / "mine") == places["one"] / "mine"
