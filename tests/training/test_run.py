"""A whole recipe in small: from tiles to a model that loads and works."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch

from ultrares.api import load
from ultrares.errors import OptionError, RasterError
from ultrares.methods.saved import CONFIG, WEIGHTS
from ultrares.training import loop
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
        transform=rasterio.Affine(2, 0, 0, 0, -2, 0),
    ) as raster:  # fmt: skip
        raster.write(image)
    return folder


def test_a_recipe_becomes_a_model_that_works(recipe: Path, tmp_path: Path) -> None:
    folder = train_recipe(recipe, _tiles(tmp_path / "tiles"), tmp_path / "out")
    model = load(folder)
    assert model.name == "tiny"
    assert (folder / "README.md").read_text().startswith("# tiny")
    assert all(std > 0 for std in model.manifest.denoiser.stds)  # type: ignore[union-attr]
    image = torch.randint(0, 256, (3, 6, 7), dtype=torch.uint8)
    for mode in ("fidelity", "perceptual"):
        fine = model.upscale(image, scale=2, mode=mode)
        assert torch.equal(fine.double().view(3, 6, 2, 7, 2).mean((2, 4)), image.double())
    # A finished run is not trained again.
    before = (folder / "model.safetensors").read_bytes()
    assert train_recipe(recipe, tmp_path / "tiles", tmp_path / "out") == folder
    assert (folder / "model.safetensors").read_bytes() == before


@pytest.mark.parametrize("saves", [1, 3])
def test_a_stopped_run_goes_on_as_if_it_had_not_been(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, saves: int
) -> None:
    """Stopped within the backbone (after its first save) or the denoiser (after its first)."""
    monkeypatch.setattr(loop, "CHECKPOINT_EVERY", 1)
    tiles = _tiles(tmp_path / "tiles")
    straight = train_recipe(recipe, tiles, tmp_path / "straight")
    save, count = loop._save, 0

    def stop_after(path: Path, state: dict[str, object]) -> None:
        nonlocal count
        save(path, state)
        count += 1
        if count == saves:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(loop, "_save", stop_after)
        with pytest.raises(KeyboardInterrupt):
            train_recipe(recipe, tiles, tmp_path / "stopped")
    resumed = train_recipe(recipe, tiles, tmp_path / "stopped")
    assert (resumed / WEIGHTS).read_bytes() == (straight / WEIGHTS).read_bytes()
    assert (resumed / CONFIG).read_text() == (straight / CONFIG).read_text()


def test_a_checkpoint_of_another_network_is_named(recipe: Path, tmp_path: Path) -> None:
    tiles = _tiles(tmp_path / "tiles")
    train_recipe(recipe, tiles, tmp_path / "out")
    recipe.write_text(recipe.read_text().replace("width = 8", "width = 16"))
    with pytest.raises(OptionError, match=r"checkpoint .*checkpoint\.pt is of another network"):
        train_recipe(recipe, tiles, tmp_path / "out")


def test_tiles_of_another_type_are_refused(recipe: Path, tmp_path: Path) -> None:
    with pytest.raises(RasterError, match="unsigned 8-bit"):
        train_recipe(recipe, _tiles(tmp_path / "tiles", "uint16"), tmp_path / "out")
