"""A whole recipe in small: from tiles to a model that loads and works."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch

from ultrares.api import load
from ultrares.errors import RasterError
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


def test_tiles_of_another_type_are_refused(recipe: Path, tmp_path: Path) -> None:
    with pytest.raises(RasterError, match="unsigned 8-bit"):
        train_recipe(recipe, _tiles(tmp_path / "tiles", "uint16"), tmp_path / "out")
