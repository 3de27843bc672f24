from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from tests.methods.conftest import by_role, small_nets
from ultrares.errors import ModelError
from ultrares.methods.manifest import BackboneConfig, DenoiserConfig, Manifest
from ultrares.methods.place import Place, Solve
from ultrares.methods.saved import load_model, save_model
from ultrares.methods.weights import filled
from ultrares.types import Origin

MANIFEST = Manifest(
    name="small",
    backbone=BackboneConfig(kind="wavelet-residual", width=8, blocks=1),
    denoiser=DenoiserConfig(width=8, blocks=(1, 1, 1), stds=(0.01, 0.02, 0.02, 0.01)),
    licence="Apache-2.0",
    trained_on="nothing",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_model(tmp_path / "small", MANIFEST, [by_role(small_nets())], card="# small\n")
    return tmp_path / "small"


def test_a_saved_model_solves_as_before_up_to_half_precision(folder: Path) -> None:
    saved = load_model(folder, autocast=False)
    (solver,) = saved.solvers
    image = torch.rand(1, 3, 16, 16)
    place = Place(Origin(0, 0), level=0, mtf=0.5, depth=0)
    from ultrares.backbones.wavelet_residual import WaveletResidualBackbone

    before = WaveletResidualBackbone(small_nets()[0])(image, mtf=0.5)
    torch.testing.assert_close(solver.solve(image, place, Solve()), before, atol=1e-3, rtol=0)
    assert solver.prior is not None
    assert solver.prior.bands.stds == (0.01, 0.02, 0.02, 0.01)
    assert saved.manifest.parameters == sum(p.numel() for n in small_nets() for p in n.parameters())
    assert {file.name for file in folder.iterdir()} == {
        "config.json",
        "model.safetensors",
        "README.md",
    }


def test_reading_a_model_draws_nothing_and_leaves_others_to_draw(folder: Path) -> None:
    before = torch.get_rng_state()
    drawn: list[torch.Tensor] = []

    def build() -> torch.nn.Linear:
        # Networks of another thread are nobody's business here.
        with ThreadPoolExecutor(1) as other:
            drawn.append(other.submit(torch.nn.Linear, 4, 4).result().weight.detach().std())
            torch.set_rng_state(before)
        return torch.nn.Linear(64, 64)

    state = {"a.weight": torch.ones(64, 64), "a.bias": torch.ones(64)}
    net = filled(build, state, "a.", folder)
    load_model(folder, autocast=False)
    assert torch.equal(torch.get_rng_state(), before)
    assert float(drawn[0]) > 0.1
    assert torch.equal(net.weight, torch.ones(64, 64))


def test_several_weight_sets_become_several_solvers(tmp_path: Path) -> None:
    manifest = save_model(
        tmp_path, MANIFEST, [by_role(small_nets()), by_role(small_nets())], card=""
    )
    assert manifest.levels == 2
    assert len(load_model(tmp_path, autocast=False).solvers) == 2


def test_corrupt_weights_are_named(folder: Path) -> None:
    weights = folder / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(ModelError, match="corrupt"):
        load_model(folder, autocast=False)


def test_missing_files_are_named(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"model\.safetensors"):
        load_model(folder, autocast=False)
    with pytest.raises(ModelError, match=r"config\.json"):
        load_model(folder / "nowhere", autocast=False)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("surprise", 1),
        ("format", 2),
        ("backbone", {"kind": "magic"}),
        ("fusion", {"ratios": [12]}),
        ("fusion", {"ratios": [16]}),
    ],
)
def test_a_wrong_manifest_says_where(folder: Path, key: str, value: object) -> None:
    config = json.loads((folder / "config.json").read_text())
    config[key] = value
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=key):
        load_model(folder, autocast=False)


def test_weights_of_another_size_are_refused(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["backbone"]["width"] = 16
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="do not fit"):
        load_model(folder, autocast=False)
