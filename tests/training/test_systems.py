"""Every system of the papers, from a recipe to a model that loads, in a few steps."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from safetensors.torch import load_file

import ultrares
from ultrares.backbones.systems import SYSTEMS
from ultrares.errors import ModelError, OptionError
from ultrares.methods.manifest import BackboneConfig, read_manifest
from ultrares.methods.saved import load_model
from ultrares.methods.weights import WEIGHTS
from ultrares.training import loop
from ultrares.training.execution import Execution
from ultrares.training.recipe import SystemRecipe, find_recipe, read_any_recipe, read_recipe
from ultrares.training.run import train_recipe
from ultrares.training.system_losses import LOSSES

TINY = {
    "sr3": "width = 8\nmultipliers = [1, 1]\nsteps = 2",
    "esrgan-dp": "width = 8\ngrowth = 4\nblocks = 1",
    "le-gan": "width = 8\nblocks = 1",
    "ref-vae": "widths = [8, 6, 4]\ncodes = 2\nsqueezed = 4\nblocks = 1",
    "lar-sr": (
        "sr_width = 8\nsr_growth = 4\nsr_blocks = 1\nwidth = 8\nembedded = 4\ncodes = 8\n"
        "blocks = 1\norder_width = 8\norder_layers = 1"
    ),
    "ir-sde": "width = 8\ndepth = 2\nsteps = 2",
    "ediffsr": "width = 8\ndown = [1]\nmiddle = 1\nup = [1]\nsteps = 2",
    "lwtdm": "width = 4\nsteps = 2",
}
"""Settings that make a network of seconds."""

RECIPE = """
name = "tiny"
licence = "Apache-2.0"
trained_on = "noise"
[system]
kind = "{kind}"
[system.settings]
{settings}
[system.data]
sensors = {{ bicubic = 0.5, box = 0.5 }}
crop = 32
batch = 2
[system.optimiser]
steps = {steps}
warmup = 1
"""


@pytest.fixture(scope="module")
def tiles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiles")
    image = np.random.default_rng(0).integers(0, 256, size=(3, 256, 256)).astype("uint8")
    with rasterio.open(
        folder / "a.tif", "w", driver="GTiff", count=3, height=256, width=256, dtype="uint8",
        transform=rasterio.Affine(2, 0, 0, 0, -2, 0),
    ) as raster:  # fmt: skip
        raster.write(image)
    return folder


def _recipe(folder: Path, kind: str, *, steps: int = 20, settings: str | None = None) -> Path:
    path = folder / "tiny.toml"
    chosen = TINY[kind] if settings is None else settings
    path.write_text(RECIPE.format(kind=kind, settings=chosen, steps=steps))
    return path


def test_every_system_has_a_recipe_and_a_loss() -> None:
    assert set(LOSSES) == set(SYSTEMS) == set(TINY)
    for kind in SYSTEMS:
        recipe = read_any_recipe(find_recipe(kind))
        assert isinstance(recipe, SystemRecipe)
        assert (recipe.name, recipe.system.kind, recipe.system.preset) == (kind, kind, "small")
        with pytest.raises(OptionError, match="of a system"):
            read_recipe(find_recipe(kind))


@pytest.mark.parametrize("kind", TINY)
def test_the_recipe_of_a_system_trains(kind: str, tiles: Path, tmp_path: Path) -> None:
    """The recipe that ships, at its own size, for a step of the smallest batch it takes."""
    text = find_recipe(kind).read_text()
    recipe = tmp_path / f"{kind}.toml"
    recipe.write_text(re.sub("batch = .*", "batch = 1", re.sub("crop = .*", "crop = 32", text)))
    folder = train_recipe(recipe, tiles, tmp_path / "out", steps=1)
    manifest = read_manifest(folder)
    assert manifest.backbone.settings == SYSTEMS[kind].presets["small"]
    assert manifest.licence == "Apache-2.0"
    assert (folder / WEIGHTS).stat().st_size < 4 * 2**20


@pytest.mark.parametrize("kind", TINY)
def test_a_rehearsal_becomes_a_model_that_loads(kind: str, tiles: Path, tmp_path: Path) -> None:
    folder = train_recipe(_recipe(tmp_path, kind), tiles, tmp_path / "out")
    model = ultrares.load(folder, precision="fp32")
    image = torch.randint(0, 256, (4, 16, 16), dtype=torch.uint8)
    fine = model.upscale(image, scale=2)
    # Radiometry is exact with any backbone inside.
    assert torch.equal(fine.double().view(4, 16, 2, 16, 2).mean((2, 4)), image.double())
    assert torch.equal(fine, model.upscale(image, scale=2))
    (solver,) = load_model(folder, autocast=False).solvers
    if solver.backbone.stochastic:
        assert not torch.equal(fine, model.upscale(image, scale=2, seed=1))
        with pytest.raises(OptionError, match="stored with its weights, not in 9: leave steps out"):
            model.upscale(image, scale=2, steps=9)
        model.upscale(image, scale=2, mode="perceptual", draws=2)


def test_a_stopped_game_goes_on_as_if_it_had_not_been(
    tiles: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Generator, discriminator, latent encoder and their two optimisers, after a save of the second step."""
    monkeypatch.setattr(loop, "CHECKPOINT_EVERY", 1)
    recipe = _recipe(tmp_path, "le-gan", steps=4)
    straight = train_recipe(recipe, tiles, tmp_path / "straight")

    def stop(stage: str, done: int, total: int) -> None:
        assert (stage, total) == ("system", 4)
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_recipe(recipe, tiles, tmp_path / "stopped", execution=Execution(progress=stop))
    saved = torch.load(tmp_path / "stopped" / "system" / loop.CHECKPOINT, weights_only=True)
    assert saved["global_step"] == 2
    assert any(key.startswith("beside.encoder.") for key in saved["state_dict"])
    resumed = train_recipe(recipe, tiles, tmp_path / "stopped", existing="resume")
    assert (resumed / WEIGHTS).read_bytes() == (straight / WEIGHTS).read_bytes()
    # What only judged is not kept with the model.
    assert {key.split(".")[1] for key in load_file(straight / WEIGHTS)} == {"backbone"}


def test_changed_settings_are_refused(tiles: Path, tmp_path: Path) -> None:
    folder = train_recipe(_recipe(tmp_path, "sr3", steps=1), tiles, tmp_path / "out")
    config = folder / "config.json"
    told = json.loads(config.read_text())
    assert "width" not in told["backbone"]
    told["backbone"]["settings"]["betas"] = [1e-6, 2e-2]
    config.write_text(json.dumps(told))
    with pytest.raises(ModelError, match=r"settings\.betas is .*trained with"):
        ultrares.load(folder)
    told["backbone"]["settings"]["betas"] = [1e-6]
    config.write_text(json.dumps(told))
    with pytest.raises(ModelError, match=r"backbone\.settings.*betas"):
        read_manifest(folder)


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ("depth = 3", "depth"),
        ("steps = 9999", "clock"),
        ("scales = [4, 2]", "must rise"),
        ("scales = [2]", "2 deviations for 1 scales"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, settings: str, word: str) -> None:
    with pytest.raises(OptionError, match=rf"system.*{word}"):
        read_any_recipe(_recipe(tmp_path, "sr3", settings=settings))


def test_an_unknown_kind_is_named(tmp_path: Path) -> None:
    path = _recipe(tmp_path, "sr3")
    path.write_text(path.read_text().replace('"sr3"', '"sr4"'))
    with pytest.raises(OptionError, match="no system 'sr4': choose sr3"):
        read_any_recipe(path)


@pytest.mark.parametrize(
    "given",
    [
        {"kind": "magic"},
        {"kind": "sr3"},
        {"kind": "bicubic", "settings": {"scales": [2]}},
        {"kind": "sr3", "width": 8, "settings": {}},
    ],
)
def test_a_backbone_config_that_fits_no_kind_is_refused(given: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="kind"):
        BackboneConfig.model_validate(given)


def test_untrained_systems_are_listed_and_say_how_to_train_them() -> None:
    infos = {info.name: info for info in ultrares.models()}
    for kind in SYSTEMS:
        if infos[kind].path is None:
            assert not infos[kind].present
            parameters = infos[kind].parameters
            assert parameters is not None
            assert parameters <= 2e6
            with pytest.raises(ModelError, match=f"ultrares train {kind}"):
                ultrares.load(kind)
