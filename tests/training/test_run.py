"""A whole recipe in small: from tiles to a model that loads and works."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from safetensors.torch import load_file

from ultrares.api import load
from ultrares.errors import ModelError, OptionError, RasterError, UltraresError
from ultrares.methods.manifest import FusionConfig, Manifest
from ultrares.methods.weights import CONFIG, WEIGHTS
from ultrares.sensor.models import Box
from ultrares.training import denoiser_stage, grid_denoiser_stage, loop
from ultrares.training.execution import Execution
from ultrares.training.run import train_recipe

SECTION = """
[{stage}]
[{stage}.data]
sensors = {{ bicubic = 0.5, box = 0.5 }}
depths = {depths}
crop = 16
batch = 1
[{stage}.net]
width = 8
blocks = {blocks}
[{stage}.optimiser]
steps = 2
warmup = 1
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(
        'name = "tiny"\nlicence = "Apache-2.0"\ntrained_on = "noise"\n'
        + SECTION.format(stage="backbone", depths=[0.4, 0.3, 0.3], blocks=[1])
        + SECTION.format(stage="denoiser", depths=[1, 0, 0], blocks=[1, 1, 1])
    )
    path.with_suffix(".md").write_text("# tiny\n\nLearned from noise.\n")
    return path


def _tiles(folder: Path, dtype: str = "uint8") -> Path:
    folder.mkdir()
    image = np.random.default_rng(0).integers(0, 256, size=(4, 256, 256)).astype(dtype)
    with rasterio.open(
        folder / "a.tif", "w", driver="GTiff", count=4, height=256, width=256, dtype=dtype,
        # Or GDAL takes the fourth band for alpha.
        photometric="minisblack", transform=rasterio.Affine(2, 0, 0, 0, -2, 0),
    ) as raster:  # fmt: skip
        raster.write(image)
    return folder


def test_a_recipe_becomes_a_model_that_works(recipe: Path, tmp_path: Path) -> None:
    folder = train_recipe(recipe, _tiles(tmp_path / "tiles"), tmp_path / "out")
    model = load(folder)
    assert model.name == "tiny"
    assert (folder / "README.md").read_text().startswith("# tiny")
    assert all(std > 0 for std in model.manifest.denoiser.stds)  # type: ignore[union-attr,operator]
    image = torch.randint(0, 256, (3, 6, 7), dtype=torch.uint8)
    for mode in ("fidelity", "perceptual"):
        fine = model.upscale(image, scale=2, mode=mode)
        assert torch.equal(fine.double().view(3, 6, 2, 7, 2).mean((2, 4)), image.double())
    # A finished run is not trained again.
    before = (folder / "model.safetensors").read_bytes()
    again = train_recipe(recipe, tmp_path / "tiles", tmp_path / "out", existing="resume")
    assert again == folder
    assert (folder / "model.safetensors").read_bytes() == before


@pytest.mark.parametrize("stopped_in", ["backbone", "denoiser"])
def test_a_stopped_run_goes_on_as_if_it_had_not_been(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stopped_in: str
) -> None:
    """Stopped in the second step of a stage, after a save of the first."""
    monkeypatch.setattr(loop, "CHECKPOINT_EVERY", 1)
    tiles = _tiles(tmp_path / "tiles")
    straight = train_recipe(recipe, tiles, tmp_path / "straight")

    def stop(stage: str, done: int, total: int) -> None:
        assert total == 2
        if (stage, done) == (stopped_in, 2):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_recipe(recipe, tiles, tmp_path / "stopped", execution=Execution(progress=stop))
    saved = torch.load(tmp_path / "stopped" / stopped_in / loop.CHECKPOINT, weights_only=True)
    assert saved["global_step"] == 1
    resumed = train_recipe(recipe, tiles, tmp_path / "stopped", existing="resume")
    assert (resumed / WEIGHTS).read_bytes() == (straight / WEIGHTS).read_bytes()
    assert (resumed / CONFIG).read_text() == (straight / CONFIG).read_text()


def _again(text: str, *, stages: tuple[str, ...], phase: str) -> str:
    """A recipe whose stages train their networks once more."""
    for stage in stages:
        text = text.replace(f"[{stage}]\n", f"[{stage}]\nthen = [{phase}]\n")
    return text


IDLE = "{ optimiser = { steps = 1, warmup = 0, rate = 1e-12 } }"


def test_a_phase_goes_on_from_the_weights_before_it(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With no rate to speak of, what it ends with is what it began with."""
    # More steps would measure what is denoised on more batches.
    monkeypatch.setattr(denoiser_stage, "MEASURED_BATCHES", 1)
    tiles = _with_references(recipe, tmp_path, SMALL_RESTORATION)
    once = load_file(train_recipe(recipe, tiles, tmp_path / "once") / WEIGHTS)
    recipe.write_text(
        _again(recipe.read_text(), stages=("backbone", "restoration", "denoiser"), phase=IDLE)
    )
    twice = load_file(train_recipe(recipe, tiles, tmp_path / "twice") / WEIGHTS)
    assert once.keys() == twice.keys()
    for key, value in once.items():
        torch.testing.assert_close(twice[key], value, rtol=1e-3, atol=1e-6)
    for stage in ("backbone", "restoration", "denoiser"):
        state = tmp_path / "twice" / stage / f"{stage}-2" / loop.CHECKPOINT
        assert torch.load(state, weights_only=True)["global_step"] == 1


def test_a_run_stopped_in_a_later_phase_goes_on_there(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "CHECKPOINT_EVERY", 1)
    tiles = _tiles(tmp_path / "tiles")
    phase = "{ seed = 5, loss = { pixel = 0, log_squared = 1 }, optimiser = { rate = 1e-2 } }"
    recipe.write_text(_again(recipe.read_text(), stages=("backbone",), phase=phase))
    straight = train_recipe(recipe, tiles, tmp_path / "straight")
    told = []

    def tell(stage: str, done: int, _: int) -> None:
        told.append((stage, done))
        if told[-1] == ("backbone-2", 2) and told.count(told[-1]) == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_recipe(recipe, tiles, tmp_path / "stopped", execution=Execution(progress=tell))
    assert told == [("backbone", 1), ("backbone", 2), ("backbone-2", 1), ("backbone-2", 2)]
    resumed = train_recipe(
        recipe, tiles, tmp_path / "stopped", existing="resume", execution=Execution(progress=tell)
    )
    # What was done is not made again, nor the step that was saved.
    assert told[4:] == [("backbone-2", 2), ("denoiser", 1), ("denoiser", 2)]
    assert (resumed / WEIGHTS).read_bytes() == (straight / WEIGHTS).read_bytes()
    # Its loss is its own: a logarithm of what is below one.
    log = (tmp_path / "stopped/backbone/backbone-2/log.csv").read_text().splitlines()
    losses = [float(line.split(",")[-2]) for line in log if ",loss," in line]
    assert losses
    assert max(losses) < 0


@pytest.mark.parametrize("phase", ["seed = 1", "seed = 2", "data = { batch = 2 }"])
def test_a_phase_draws_what_it_says(recipe: Path, tmp_path: Path, phase: str) -> None:
    """The first loss of a phase that learns nothing tells which batch it drew."""
    tiles, losses = _tiles(tmp_path / "tiles"), []
    for number, words in enumerate(("seed = 1", "seed = 1", phase)):
        idle = IDLE.replace("{ optimiser", f"{{ {words}, optimiser")
        path = recipe.with_name(f"{number}.toml")
        path.write_text(_again(recipe.read_text(), stages=("backbone",), phase=idle))
        train_recipe(path, tiles, tmp_path / str(number), steps=1)
        log = (tmp_path / str(number) / "backbone/backbone-2/log.csv").read_text().splitlines()
        losses += [line.split(",")[-2] for line in log if ",loss," in line]
    assert losses[0] == losses[1]
    assert (losses[2] == losses[0]) == (phase == "seed = 1")


@pytest.mark.parametrize("stage", ["backbone", "denoiser"])
@pytest.mark.parametrize("data", ['pattern = "*.jp2"', "crop = 256"])
def test_a_phase_that_cannot_be_is_found_before_its_stage_begins(
    recipe: Path, tmp_path: Path, stage: str, data: str
) -> None:
    phase = f"{{ data = {{ {data} }} }}"
    recipe.write_text(_again(recipe.read_text(), stages=(stage,), phase=phase))
    with pytest.raises(UltraresError):
        train_recipe(recipe, _tiles(tmp_path / "tiles"), tmp_path / "out")
    assert not (tmp_path / "out" / stage / loop.CHECKPOINT).exists()


def test_phases_may_be_added_to_a_run_and_stages_not(recipe: Path, tmp_path: Path) -> None:
    tiles, plain = _tiles(tmp_path / "tiles"), recipe.read_text()
    train_recipe(recipe, tiles, tmp_path / "out")
    recipe.write_text(_again(plain, stages=("denoiser",), phase=IDLE))
    train_recipe(recipe, tiles, tmp_path / "out", existing="resume")
    assert (tmp_path / "out/denoiser/denoiser-2" / loop.CHECKPOINT).exists()
    more = SECTION.format(stage="backbone_x4", depths=[0.8, 0.2, 0], blocks=[1])
    recipe.write_text(plain + more)
    with pytest.raises(OptionError, match="begun with the stages backbone, denoiser, and"):
        train_recipe(recipe, tiles, tmp_path / "out", existing="resume")


def _with_references(recipe: Path, tmp_path: Path, net: str) -> Path:
    """Give a recipe a restoration stage, and return imagery with references."""
    head, denoiser = recipe.read_text().split("\n[denoiser]\n")
    restoration = SECTION.format(stage="restoration", depths=[0.5, 0.3, 0.2], blocks=[1])
    restoration = restoration.replace("width = 8\nblocks = [1]", net)
    references = "references = { places = '(.)_\\d+\\.tif' }\n"
    restoration = restoration.replace("[restoration.net]", references + "[restoration.net]")
    denoiser = denoiser.replace("[denoiser.net]", references + "[denoiser.net]")
    recipe.write_text(head + restoration + "\n[denoiser]\n" + denoiser)
    tiles = _tiles(tmp_path / "tiles")
    image = tiles / "a.tif"
    for name in ("a_2018.tif", "a_2020.tif"):
        (tiles / name).write_bytes(image.read_bytes())
    return tiles


FUSION = """
[fusion.data]
sensors = { box = 1 }
ratios = { 4 = 0.5, 8 = 0.5 }
batch = 1
references = { places = '(.)_\\d+\\.tif' }
[fusion.net]
width = 8
[fusion.optimiser]
steps = 2
"""


def test_a_fusion_is_part_of_the_model_that_uses_it(recipe: Path, tmp_path: Path) -> None:
    tiles = _with_references(recipe, tmp_path, SMALL_RESTORATION)
    text = recipe.read_text()
    recipe.write_text(text + FUSION)
    folder = train_recipe(recipe, tiles, tmp_path / "out", steps=1)
    model = load(folder)
    assert isinstance(model.manifest, Manifest)
    assert model.manifest.fusion == FusionConfig(width=8, ratios=(4, 8))
    levels = model.route(
        8, mode="fidelity", draws=1, steps=None, seed=0, sensor=Box(), with_reference=True
    ).levels
    assert [set(level.fusion.ratios) for level in levels if level.fusion] == [{4, 8}] * 3
    # It starts from the weights of another model only if they are of its size.
    more = text + FUSION.replace(
        "[fusion.data]", f'[fusion]\nstart_from = "{folder}"\n[fusion.data]'
    )
    recipe.write_text(more.replace("width = 8\n[fusion.opt", "width = 16\n[fusion.opt"))
    with pytest.raises(ModelError, match="its fusion is of another size"):
        train_recipe(recipe, tiles, tmp_path / "other", steps=1)


def test_a_fusion_needs_a_pyramid(recipe: Path, tmp_path: Path) -> None:
    recipe.write_text(recipe.read_text() + FUSION)
    with pytest.raises(OptionError, match="made use of by the pyramid"):
        train_recipe(recipe, _tiles(tmp_path / "tiles"), tmp_path / "out")


SMALL_RESTORATION = "width = 12\nheads = 3\ndetail_width = 12\ndetail_heads = 3"


def test_a_restoration_makes_algorithm_2(recipe: Path, tmp_path: Path) -> None:
    tiles = _with_references(recipe, tmp_path, SMALL_RESTORATION)
    folder = train_recipe(recipe, tiles, tmp_path / "out", steps=2)
    model = load(folder)
    assert model.manifest.method == "csp-wavediffur"
    state = load_file(folder / WEIGHTS)
    assert {key.split(".")[1] for key in state} == {"backbone", "pyramid", "details", "denoiser"}
    pixels = torch.randint(0, 256, (3, 16, 16), dtype=torch.uint8)
    fine = model.upscale(pixels, scale=2, mode="perceptual")
    assert torch.equal(fine.double().view(3, 16, 2, 16, 2).mean((2, 4)), pixels.double())


def test_a_pyramid_starts_from_a_shallower_one_and_needs_no_details(
    recipe: Path, tmp_path: Path
) -> None:
    """After a step of no rate to speak of, it is the model that it started from, with new blocks."""
    tiles = _with_references(recipe, tmp_path, SMALL_RESTORATION)
    start = train_recipe(recipe, tiles, tmp_path / "first", steps=2)
    text = recipe.read_text().replace("steps = 2", "steps = 1\nrate = 1e-12")
    for stage in ("backbone", "restoration", "denoiser"):
        text = text.replace(f"[{stage}]", f'[{stage}]\nstart_from = "{start}"')
    recipe.write_text(
        text.replace(SMALL_RESTORATION, "width = 12\nheads = 3\nblocks = 3\ndetail_width = 0")
    )
    folder = train_recipe(recipe, tiles, tmp_path / "second")
    state = load_file(folder / WEIGHTS)
    assert {key.split(".")[1] for key in state} == {"backbone", "pyramid", "denoiser"}
    deeper, before = load(folder), load(start).with_parts("model-1")
    assert deeper.manifest.details is None  # type: ignore[union-attr]
    image, reference = torch.rand(3, 16, 16), torch.rand(3, 32, 32)
    fine, plain = (model.upscale(image, scale=2, reference=reference) for model in (deeper, before))
    torch.testing.assert_close(fine, plain, atol=2e-3, rtol=0)
    # Heads are not a depth: what was learnt by some means nothing to others.
    recipe.write_text(text.replace("heads = 3\ndetail_width", "heads = 4\ndetail_width"))
    with pytest.raises(ModelError, match="its pyramid is of another size"):
        train_recipe(recipe, tiles, tmp_path / "third")


def test_a_x4_backbone_starts_with_the_x2_one(recipe: Path, tmp_path: Path) -> None:
    """After a step of no rate to speak of, all its layers but the head are still those of the x2 one."""
    stage = SECTION.format(stage="backbone_x4", depths=[0.5, 0.5, 0], blocks=[2])
    recipe.write_text(recipe.read_text() + stage.replace("steps = 2", "steps = 1\nrate = 1e-12"))
    folder = train_recipe(recipe, _tiles(tmp_path / "tiles"), tmp_path / "out")
    state = load_file(folder / WEIGHTS)
    x2, x4 = (
        {key.removeprefix(role): value for key, value in state.items() if key.startswith(role)}
        for role in ("0.backbone.", "0.backbone_x4.")
    )
    # It has a block more, which begins as the identity, and a head of its own.
    assert {key for key in x4.keys() - x2.keys() if not key.startswith("trunk.1.")} == set()
    for key in x2.keys() - {"head.weight", "head.bias"}:
        torch.testing.assert_close(x4[key], x2[key], rtol=1e-3, atol=1e-6)
    assert x4["head.weight"].shape[0] == 4 * x2["head.weight"].shape[0]
    model = load(folder)
    image = torch.randint(0, 256, (3, 6, 7), dtype=torch.uint8)
    for scale, levels in ((4, [4]), (8, [2, 4])):
        fine = model.upscale(image, scale=scale)
        blocks = fine.double().view(3, 6, scale, 7, scale)
        assert torch.equal(blocks.mean((2, 4)), image.double())
        route = model.route(scale, mode="fidelity", draws=1, steps=None, seed=0, sensor=Box())
        assert [level.scale for level in route.levels] == levels


def test_a_run_is_never_mixed_with_another(recipe: Path, tmp_path: Path) -> None:
    tiles, out = _tiles(tmp_path / "tiles"), tmp_path / "out"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    train_recipe(recipe, tiles, out, steps=1)
    with pytest.raises(OptionError, match="holds a training run already: pass --resume"):
        train_recipe(recipe, tiles, out, steps=1)
    with pytest.raises(
        OptionError, match=r"begun with another recipe.*backbone\.optimiser differs"
    ):
        train_recipe(recipe, tiles, out, existing="resume")
    first = (out / "model" / WEIGHTS).read_bytes()
    train_recipe(recipe, tiles, out, existing="restart")
    assert (out / "model" / WEIGHTS).read_bytes() != first
    assert (out / "notes.txt").read_text() == "mine"
    (out / "recipe.json").write_text("{}")
    with pytest.raises(OptionError, match=r"recipe\.json is damaged"):
        train_recipe(recipe, tiles, out, existing="resume")


def test_a_checkpoint_of_another_network_is_named(recipe: Path, tmp_path: Path) -> None:
    tiles = _tiles(tmp_path / "tiles")
    train_recipe(recipe, tiles, tmp_path / "out", steps=1)
    (tmp_path / "out" / "recipe.json").unlink()
    recipe.write_text(recipe.read_text().replace("width = 8", "width = 16"))
    with pytest.raises(OptionError, match=r"checkpoint .*checkpoint\.ckpt is of another network"):
        train_recipe(recipe, tiles, tmp_path / "out", steps=1)


def test_unusable_data_is_refused_before_anything_is_written(recipe: Path, tmp_path: Path) -> None:
    with pytest.raises(RasterError, match="no folder"):
        train_recipe(recipe, tmp_path / "none", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_tiles_of_another_type_are_welcome(recipe: Path, tmp_path: Path) -> None:
    tiles = _tiles(tmp_path / "tiles", "uint16")
    assert load(train_recipe(recipe, tiles, tmp_path / "out", steps=1)).name == "tiny"


def test_a_deeper_network_starts_from_a_shallower_one(recipe: Path, tmp_path: Path) -> None:
    """After a step of no rate to speak of, the new blocks do almost nothing, and the others what they did."""
    tiles = _tiles(tmp_path / "tiles")
    start = train_recipe(recipe, tiles, tmp_path / "first")
    slow = recipe.read_text().replace("steps = 2", "steps = 1\nrate = 1e-12")
    slow = slow.replace("[backbone]", f'[backbone]\nstart_from = "{start}"')
    recipe.write_text(slow.replace("blocks = [1]", "blocks = [3]"))
    deeper = load(train_recipe(recipe, tiles, tmp_path / "second"))
    assert deeper.manifest.backbone.blocks == 3  # type: ignore[union-attr]
    image = torch.rand(3, 12, 12)
    torch.testing.assert_close(
        deeper.upscale(image, scale=2), load(start).upscale(image, scale=2), atol=2e-3, rtol=0
    )


def test_fine_tuning_starts_from_a_model(recipe: Path, tmp_path: Path) -> None:
    """After a step of no rate to speak of, the weights are still those of the model."""
    tiles = _tiles(tmp_path / "tiles")
    start = train_recipe(recipe, tiles, tmp_path / "first", steps=1)
    text = recipe.read_text()
    slow = text.replace("steps = 2", "steps = 2\nrate = 1e-12")
    for stage in ("backbone", "denoiser"):
        slow = slow.replace(f"[{stage}]", f'[{stage}]\nseed = 7\nstart_from = "{start}"')
    recipe.write_text(slow)
    tuned = train_recipe(recipe, tiles, tmp_path / "second", steps=1)
    before, after = load_file(start / WEIGHTS), load_file(tuned / WEIGHTS)
    assert before.keys() == after.keys()
    for key, value in before.items():
        torch.testing.assert_close(after[key], value, rtol=1e-3, atol=1e-6)
    recipe.write_text(slow.replace("width = 8", "width = 16"))
    with pytest.raises(ModelError, match=r"start_from .*its backbone is of another size"):
        train_recipe(recipe, tiles, tmp_path / "third", steps=1)
    recipe.write_text(slow.replace(str(start), "nobody"))
    with pytest.raises(ModelError, match="unknown model 'nobody'"):
        train_recipe(recipe, tiles, tmp_path / "fourth", steps=1)


OPERATOR = """
name = "tiny-operator"
licence = "Apache-2.0"
trained_on = "noise"
[operator]
[operator.data]
sensors = { bicubic = 0.5, box = 0.5 }
crop = 24
places = 12
batch = 2
[operator.net]
features = 8
blocks = 1
width = 16
heads = 4
told = true
[operator.optimiser]
steps = 2
warmup = 1
rate = 1e-3
[denoiser]
features = 2
[denoiser.data]
sensors = { box = 1.0 }
crop = 16
truth = 32
batch = 2
[denoiser.net]
width = 8
blocks = [1, 1, 1]
[denoiser.optimiser]
steps = 2
warmup = 1
rate = 1e-3
"""


PIXELS = (
    OPERATOR.partition("[denoiser]")[0]
    + """
[pixel_denoiser]
[pixel_denoiser.data]
sensors = { box = 1.0 }
crop = 16
truth = 20
batch = 2
[pixel_denoiser.net]
width = 8
multipliers = [1, 2]
groups = 4
attention = 2
steps = 3
[pixel_denoiser.optimiser]
steps = 2
warmup = 1
rate = 1e-3
"""
)


@pytest.mark.parametrize("recipe", [OPERATOR, PIXELS], ids=["small", "paper"])
def test_an_operator_s_recipe_becomes_a_model_of_any_scale(tmp_path: Path, recipe: str) -> None:
    path = tmp_path / "operator.toml"
    path.write_text(recipe)
    folder = train_recipe(path, _tiles(tmp_path / "tiles"), tmp_path / "out")
    model = load(folder)
    assert model.manifest.method == "neurop-diff"
    image = torch.randint(0, 256, (3, 10, 12), dtype=torch.uint8)
    for mode in ("fidelity", "perceptual"):
        assert model.upscale(image, scale=2.7, mode=mode).shape == (3, 27, 32)
        fine = model.upscale(image, scale=2, mode=mode)
        assert torch.equal(fine.double().view(3, 10, 2, 12, 2).mean((2, 4)), image.double())


@pytest.mark.parametrize("recipe", [OPERATOR, PIXELS], ids=["small", "paper"])
def test_phases_of_an_operator_s_recipe_go_on_too(
    tmp_path: Path, recipe: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grid_denoiser_stage, "MEASURED_BATCHES", 1)
    path, tiles = tmp_path / "operator.toml", _tiles(tmp_path / "tiles")
    path.write_text(recipe)
    once = load_file(train_recipe(path, tiles, tmp_path / "once") / WEIGHTS)
    stages = ("operator", "denoiser", "pixel_denoiser")
    path.write_text(_again(recipe, stages=stages, phase=IDLE))
    twice = load_file(train_recipe(path, tiles, tmp_path / "twice") / WEIGHTS)
    for key, value in once.items():
        torch.testing.assert_close(twice[key], value, rtol=1e-3, atol=1e-6)
    assert len(list((tmp_path / "twice").glob("*/*-2"))) == 2
    # Begun again, all of it is.
    told: list[tuple[str, int, int]] = []
    execution = Execution(progress=lambda *step: told.append(step))
    train_recipe(path, tiles, tmp_path / "twice", existing="restart", execution=execution)
    assert [done for _, done, _ in told] == [1, 2, 1, 1, 2, 1]


@pytest.mark.parametrize("stage", ["operator", "denoiser"])
@pytest.mark.parametrize("phase", ["seed = 1", "seed = 2", "data = { batch = 3 }"])
def test_phases_of_an_operator_s_recipe_draw_what_they_say(
    tmp_path: Path, stage: str, phase: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grid_denoiser_stage, "MEASURED_BATCHES", 1)
    tiles, losses = _tiles(tmp_path / "tiles"), []
    for number, words in enumerate(("seed = 1", phase)):
        path = tmp_path / f"{number}.toml"
        idle = IDLE.replace("{ optimiser", f"{{ {words}, optimiser")
        path.write_text(_again(OPERATOR, stages=(stage,), phase=idle))
        train_recipe(path, tiles, tmp_path / str(number), steps=1)
        log = (tmp_path / str(number) / stage / f"{stage}-2/log.csv").read_text().splitlines()
        losses += [line.split(",")[-2] for line in log if ",loss," in line]
    assert len(losses) == 2
    assert (losses[1] == losses[0]) == (phase == "seed = 1")


@pytest.mark.parametrize("recipe", [OPERATOR, PIXELS], ids=["small", "paper"])
def test_an_operator_starts_from_the_weights_of_another(tmp_path: Path, recipe: str) -> None:
    path, tiles = tmp_path / "operator.toml", _tiles(tmp_path / "tiles")
    path.write_text(recipe)
    first = train_recipe(path, tiles, tmp_path / "first")
    slow = recipe.replace("rate = 1e-3", "rate = 1e-12")
    for stage in ("operator", "denoiser", "pixel_denoiser"):
        slow = slow.replace(f"[{stage}]\n", f'[{stage}]\nseed = 9\nstart_from = "{first}"\n')
    path.write_text(slow)
    tuned = train_recipe(path, tiles, tmp_path / "second")
    before, after = load_file(first / WEIGHTS), load_file(tuned / WEIGHTS)
    assert before.keys() == after.keys()
    for key, value in before.items():
        torch.testing.assert_close(after[key], value, rtol=1e-3, atol=1e-6)


def test_an_operator_is_fitted_by_the_loss_of_its_recipe(tmp_path: Path) -> None:
    """What is logged as the loss is that of one and the same first batch."""
    tiles, losses = _tiles(tmp_path / "tiles"), {}
    for loss in ("absolute", "log-squared"):
        path = tmp_path / f"{loss}.toml"
        alone = OPERATOR.partition("[denoiser]")[0]
        path.write_text(alone.replace("[operator]\n", f'[operator]\nloss = "{loss}"\n'))
        train_recipe(path, tiles, tmp_path / loss, steps=1)
        log = (tmp_path / loss / "operator" / "log.csv").read_text().splitlines()
        (line,) = [line for line in log if ",loss," in line]
        losses[loss] = float(line.split(",")[-2])
    # The mean of the squares is no less than the square of the mean.
    assert losses["log-squared"] >= 2 * math.log(losses["absolute"])
    assert losses["log-squared"] < 0 < losses["absolute"]
