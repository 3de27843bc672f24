from __future__ import annotations

from pathlib import Path

import pytest

from ultrares.errors import OptionError
from ultrares.sensor.models import parse_sensor
from ultrares.training.recipe import find_recipe, read_any_recipe, read_recipe

RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("*.toml"))
NAIP = RECIPES[0].with_name("wavediffur-naip.toml")


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_can_be_read(path: Path) -> None:
    recipe = read_any_recipe(path)
    assert recipe.name == path.stem
    for stage in recipe.stages.values():
        assert [parse_sensor(name).name for name in stage.data.sensors] == list(stage.data.sensors)


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ("seed = 0", "seeed = 0", "seeed"),
        ("batch = 8", "batch = 0", "batch"),
        ("crop = 48", "crop = 47", "crop"),
        ("steps = 9000", 'steps = "many"', r"backbone\.optimiser\.steps.*integer"),
        ("blocks = [2, 3, 2]", "blocks = [2]", r"denoiser: net\.blocks must list 3"),
        ("blocks = [12]", "blocks = [1, 2, 3]", r"backbone: net\.blocks must list 1"),
        ("[1.0, 0.0, 0.0]", "[0, 0, 0]", r"denoiser\.data\.depths"),
        ("bicubic = 0.5", "cubic = 0.5", r"backbone\.data\.sensors: unknown sensor 'cubic'"),
        ("bicubic = 0.5", "bicubic = -1", r"backbone\.data\.sensors\.bicubic"),
        ('name = "wavediffur-naip"', "", "name"),
        ("[backbone.net]", "[backbone.net", "TOML"),
    ],
)
def test_mistakes_are_found_where_they_are(tmp_path: Path, old: str, new: str, word: str) -> None:
    text = NAIP.read_text()
    assert old in text
    path = tmp_path / "recipe.toml"
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(OptionError, match=word):
        read_recipe(path)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(OptionError, match="TOML"):
        read_recipe(path)


def test_a_missing_recipe_is_named(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"none\.toml"):
        read_recipe(tmp_path / "none.toml")


def test_recipes_are_found_by_name_or_path(tmp_path: Path) -> None:
    assert find_recipe("smoke").samefile(NAIP.with_name("smoke.toml"))
    mine = tmp_path / "recipe.txt"
    mine.touch()
    assert find_recipe(mine) == mine
    with pytest.raises(
        OptionError, match=r"'smok': pass a TOML file, or one of csp-wavediffur-mid"
    ):
        find_recipe("smok")


def test_a_loss_on_the_denoiser_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(NAIP.read_text() + '[denoiser.loss]\npreset = "full"\n')
    with pytest.raises(OptionError, match="loss belongs to the backbone"):
        read_recipe(path)


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ("depths = [1, 0, 0]", "depths = [1, 0, 1]", r"data\.depths must end in 0"),
        ("width = 64", "width = 32", "needs width 64 and 12 blocks or more"),
        ("blocks = [13]", "blocks = [11]", "needs width 64 and 12 blocks or more"),
        ("blocks = [13]", "blocks = [13, 1]", "must list 1"),
    ],
)
def test_a_x4_backbone_that_cannot_be_trained_is_refused(
    tmp_path: Path, old: str, new: str, word: str
) -> None:
    path = tmp_path / "recipe.toml"
    stage = """
[backbone_x4]
seed = 3
data = { sensors = { box = 1 }, depths = [1, 0, 0] }
net = { width = 64, blocks = [13] }
optimiser = { steps = 1 }
"""
    path.write_text(NAIP.read_text() + stage)
    assert read_recipe(path).backbone_x4 is not None
    path.write_text(NAIP.read_text() + stage.replace(old, new))
    with pytest.raises(OptionError, match=word):
        read_recipe(path)


def test_a_cap_shortens_every_stage_and_lengthens_none() -> None:
    recipe = read_recipe(NAIP).capped(5000)
    steps = {name: stage.optimiser.steps for name, stage in recipe.stages.items()}
    assert steps == {"backbone": 5000, "denoiser": 3000}
    assert recipe.denoiser == read_recipe(NAIP).denoiser
