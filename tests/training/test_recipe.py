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
        ("[1.0, 0.0, 0.0]", "[1, 0, 0, 1]", r"denoiser\.data: .*depths takes 3 numbers"),
        ("[1.0, 0.0, 0.0]", "[1, 0, 0, 0, 1]", r"denoiser\.data\.depths"),
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


PHASES = """
[[backbone.then]]
loss = { pixel = 0, log_squared = 1 }
data = { depths = [1, 0, 0], coarser = [0.2, 0.1] }
optimiser = { steps = 500, clip = 2 }

[[backbone.then]]
seed = 77
optimiser = { rate = 1e-5 }
"""


def with_phases(folder: Path, phases: str = PHASES) -> Path:
    path = folder / "recipe.toml"
    path.write_text(NAIP.read_text() + phases)
    return path


def test_a_phase_is_the_one_before_it_with_changes(tmp_path: Path) -> None:
    stage = read_recipe(with_phases(tmp_path)).backbone
    first, second, third = stage.phases
    plain = read_recipe(NAIP).backbone
    assert first == plain
    assert second.seed == plain.seed + 1
    assert (second.loss.log_squared, second.loss.pixel) == (1, 0)
    assert (second.data.depths, second.data.coarser) == ((1, 0, 0), (0.2, 0.1))
    assert (second.data.crop, second.data.sensors) == (plain.data.crop, plain.data.sensors)
    assert (second.optimiser.steps, second.optimiser.rate) == (500, plain.optimiser.rate)
    assert third.seed == 77
    assert third == second.model_copy(
        update={"seed": 77, "optimiser": second.optimiser.model_copy(update={"rate": 1e-5})}
    )
    capped = stage.capped(600)
    assert [phase.optimiser.steps for phase in capped.phases] == [600, 500, 500]
    places = [place.relative_to(tmp_path) for _, place in stage.phases_in(tmp_path / "backbone")]
    assert [str(place) for place in places] == [
        "backbone", "backbone/backbone-2", "backbone/backbone-3",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("phase", "word"),
    [
        ("optimiser = { steps = 0 }", r"backbone: then\.0\.optimiser\.steps"),
        ("data = { crop = 47 }", r"backbone: then\.0\.data\.crop"),
        ("net = { width = 8 }", r"backbone\.then\.0\.net"),
        ("loss = { preset = 'most' }", r"backbone: then\.0\.loss\.preset"),
    ],
)
def test_mistakes_in_phases_are_found(tmp_path: Path, phase: str, word: str) -> None:
    with pytest.raises(OptionError, match=word):
        read_recipe(with_phases(tmp_path, f"[[backbone.then]]\n{phase}\n"))


def test_phases_keep_the_rules_of_their_stage(tmp_path: Path) -> None:
    loss = "[[denoiser.then]]\nloss = 'full'\n"
    with pytest.raises(OptionError, match="loss belongs to the backbone"):
        read_recipe(with_phases(tmp_path, loss.replace("'full'", "{ preset = 'full' }")))
    x4 = NAIP.with_name("csp-wavediffur-naip.toml").read_text()
    path = tmp_path / "x4.toml"
    path.write_text(x4 + "[[backbone_x4.then]]\ndata = { depths = [0.5, 0.3, 0.2] }\n")
    with pytest.raises(OptionError, match=r"depths must end in 0"):
        read_recipe(path)
    system = NAIP.with_name("sr3.toml").read_text()
    path.write_text(system + "[[system.then]]\nseed = 1\n")
    with pytest.raises(OptionError, match="a system is trained once"):
        read_any_recipe(path)


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
