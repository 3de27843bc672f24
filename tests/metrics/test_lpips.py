from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torchmetrics
from safetensors.torch import load_file, save_file
from torchmetrics.functional.image.lpips import _LPIPS

from tests.shared_data import FOLDER, needs_shared_data
from ultrares.errors import InputError, ModelError
from ultrares.metrics.lpips import ALEXNET, FEATURES, HEADS, Lpips

WEIGHTS = FOLDER / "metrics"
SHAPES = ((64, 3, 11, 11), (192, 64, 5, 5), (384, 192, 3, 3), (256, 384, 3, 3), (256, 256, 3, 3))


def theirs(folder: Path) -> _LPIPS:
    """The network of torchmetrics with our weights: its own random ones are of no use."""
    network = _LPIPS(pretrained=False, net="alex", pnet_rand=True)
    features, heads = load_file(folder / FEATURES), load_file(folder / HEADS)
    state = network.state_dict()
    for index, layer in enumerate(ALEXNET):
        number = layer.key.removeprefix("features.")
        for kind in ("weight", "bias"):
            (key,) = (
                key
                for key in state
                if key.startswith("net.slice") and key.endswith(f".{number}.{kind}")
            )
            state[key] = features[f"{layer.key}.{kind}"]
        for key in state:
            if key.startswith((f"lin{index}.", f"lins.{index}.")):
                state[key] = heads[f"lin{index}.model.1.weight"]
    network.load_state_dict(state)
    return network


@pytest.fixture
def made_up(tmp_path: Path) -> Path:
    """A folder with random weights in the shapes of the real ones."""
    rng = torch.Generator().manual_seed(3)
    features, heads = {}, {}
    for index, (layer, shape) in enumerate(zip(ALEXNET, SHAPES, strict=True)):
        fan_in = shape[1] * shape[2] * shape[3]
        features[f"{layer.key}.weight"] = torch.randn(shape, generator=rng) * (2 / fan_in) ** 0.5
        features[f"{layer.key}.bias"] = 0.1 * torch.randn(shape[0], generator=rng)
        heads[f"lin{index}.model.1.weight"] = torch.rand(1, shape[0], 1, 1, generator=rng)
    save_file(features, tmp_path / FEATURES)
    save_file(heads, tmp_path / HEADS)
    return tmp_path


def images() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    truth = rng.integers(0, 256, size=(3, 64, 80)).astype(np.uint8)
    estimate = np.clip(truth + rng.normal(0, 40, size=truth.shape), 0, 255).astype(np.uint8)
    return estimate, truth


def assert_agree(folder: Path) -> None:
    estimate, truth = images()
    one, other = (torch.from_numpy(image)[None] / 255 for image in (estimate, truth))
    with torch.inference_mode():
        expected = float(theirs(folder)(one, other, normalize=True))
    distance = Lpips(folder)
    assert expected > 0.01
    assert distance(estimate, truth) == pytest.approx(expected, rel=1e-4)
    assert distance(truth, estimate) == pytest.approx(distance(estimate, truth), rel=1e-5)
    assert distance(one[0], other[0], peak=1) == pytest.approx(expected, rel=1e-4)
    assert distance(truth, truth) == 0


def test_agrees_with_torchmetrics_on_made_up_weights(made_up: Path) -> None:
    assert_agree(made_up)


@needs_shared_data
def test_agrees_with_torchmetrics_on_the_real_weights() -> None:
    assert_agree(WEIGHTS)


@needs_shared_data
def test_the_heads_are_those_that_torchmetrics_ships() -> None:
    package = Path(torchmetrics.__file__).parent
    file = package / "functional/image/lpips_models/alex.pth"
    shipped = torch.load(file, map_location="cpu", weights_only=True)
    heads = load_file(WEIGHTS / HEADS)
    assert set(heads) == set(shipped)
    assert all(torch.equal(heads[key], shipped[key]) for key in heads)


def test_refuses_what_it_cannot_see(made_up: Path) -> None:
    with pytest.raises(InputError, match="red, green and blue"):
        Lpips(made_up)(np.zeros((4, 64, 64)), np.zeros((4, 64, 64)))


def test_says_which_weights_are_missing(made_up: Path) -> None:
    save_file({"lin0.model.1.weight": torch.zeros(1, 64, 1, 1)}, made_up / HEADS)
    with pytest.raises(ModelError, match="lin1"):
        Lpips(made_up)
    (made_up / HEADS).write_bytes(b"no tensors here")
    with pytest.raises(ModelError, match="no safetensors"):
        Lpips(made_up)
    (made_up / HEADS).unlink()
    with pytest.raises(ModelError, match="does not exist"):
        Lpips(made_up)
