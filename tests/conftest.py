"""Models that are quickly made, and a scene for them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import ultrares
from tests.methods.conftest import by_role, small_nets
from tests.scene.conftest import Writer, raster

__all__ = ["bicubic", "folder", "guided", "raster", "scene", "tiny"]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose weights are random: its samples are nonsense of the right form."""
    from ultrares.methods.manifest import BackboneConfig, DenoiserConfig, Manifest
    from ultrares.methods.saved import save_model

    manifest = Manifest(
        name="tiny",
        backbone=BackboneConfig(kind="wavelet-residual", width=8, blocks=1),
        denoiser=DenoiserConfig(width=8, blocks=(1, 1, 1), stds=(0.05, 0.1, 0.1, 0.05), steps=2),
        licence="Apache-2.0",
        trained_on="nothing",
    )
    path = tmp_path_factory.mktemp("models") / "tiny"
    save_model(path, manifest, [by_role(small_nets())], card="# tiny\n")
    return path


@pytest.fixture(scope="session")
def tiny(folder: Path) -> ultrares.Model:
    return ultrares.load(folder, precision="fp32")


@pytest.fixture(scope="session")
def bicubic() -> ultrares.Model:
    return ultrares.load("bicubic")


@pytest.fixture(scope="session")
def guided_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with random weights that takes a reference."""
    from ultrares.methods.manifest import (
        BackboneConfig,
        DetailsConfig,
        FusionConfig,
        Manifest,
        PyramidConfig,
    )
    from ultrares.methods.saved import build_details, build_fusion, build_pyramid, save_model

    pyramid, details = PyramidConfig(width=12, heads=3), DetailsConfig(width=12, heads=3)
    fusion = FusionConfig(width=8, ratios=(8,))
    nets: dict[str, nn.Module] = {
        "pyramid": build_pyramid(pyramid),
        "details": build_details(details),
        "fusion": build_fusion(fusion),
    }
    generator = torch.Generator().manual_seed(6)
    for net in nets.values():
        for parameter in net.parameters():
            nn.init.normal_(parameter, std=0.1, generator=generator)
    manifest = Manifest(
        name="guided",
        method="csp-wavediffur",
        backbone=BackboneConfig(kind="bicubic"),
        pyramid=pyramid,
        details=details,
        fusion=fusion,
        licence="Apache-2.0",
        trained_on="nothing",
    )
    path = tmp_path_factory.mktemp("models") / "guided"
    save_model(path, manifest, [nets], card="# guided\n")
    return path


@pytest.fixture(scope="session")
def guided(guided_folder: Path) -> ultrares.Model:
    return ultrares.load(guided_folder, precision="fp32")


@pytest.fixture
def scene(raster: Writer) -> Path:
    """Three bands of 24 x 30 pixels with an island of nodata and both ends of the type."""
    array = np.random.default_rng(0).integers(1, 255, (3, 24, 30)).astype(np.uint8)
    array[:, 0, :2] = 1, 255
    array[:, 10:13, 5:9] = 0
    array[1, 20, 20] = 0
    return raster(array, nodata=0)
