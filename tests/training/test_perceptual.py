"""Two perceptual distances in balance, through networks that the log names."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from ultrares.errors import ModelError
from ultrares.nets.feature_networks import CONV5_4, ResNet50Stages, alexnet, vgg19
from ultrares.training.perceptual import (
    RESNET50_FILE,
    VGG19_FILE,
    dual_features,
    dual_perceptual_loss,
    fill,
)

ALEXNET_FILE = "alexnet_features_imagenet.safetensors"


def test_the_second_distance_pulls_twice_as_hard_as_the_first() -> None:
    x = torch.tensor(0.3, requires_grad=True)
    y = torch.tensor(50.0, requires_grad=True)
    loss = dual_perceptual_loss(x, y)
    assert loss.item() == pytest.approx(3 * 0.3)
    loss.backward()  # type: ignore[no-untyped-call]
    assert x.grad is not None
    assert y.grad is not None
    # mu = 2 x / y, a constant: relative pulls x dL/dx and y dL/dy are 1 : 2.
    assert x.grad.item() == 1
    assert y.grad.item() == pytest.approx(2 * 0.3 / 50)
    assert torch.isfinite(dual_perceptual_loss(x, 0 * y))


def test_what_stands_in_is_named_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = dual_features(None)
    assert first.name == second.name == "random filters"
    assert "random filters stand in for VGG-19 and ResNet-50" in caplog.text
    caplog.clear()
    torch.manual_seed(0)
    save_file(alexnet(5).state_dict(), tmp_path / ALEXNET_FILE)
    first, second = dual_features(str(tmp_path))
    assert (first.name, second.name) == ("AlexNet conv5", "AlexNet conv1-3")
    assert "AlexNet conv5 and AlexNet conv1-3 stand in" in caplog.text
    truth = torch.rand(1, 3, 64, 64)
    estimate = truth.clone().requires_grad_()
    assert second.distance(estimate, truth).item() == 0
    second.distance(estimate + 0.1, truth).backward()  # type: ignore[no-untyped-call]
    assert estimate.grad is not None
    assert not any(parameter.requires_grad for parameter in second.net.parameters())
    # Any number of bands is looked at as three.
    assert second.distance(torch.rand(1, 1, 64, 64), truth[:, :1]) > 0


def test_the_paper_s_networks_are_used_where_they_are(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    vgg, resnet = vgg19(CONV5_4), ResNet50Stages()
    save_file(vgg.half().state_dict(), tmp_path / VGG19_FILE)
    save_file(resnet.half().state_dict(), tmp_path / RESNET50_FILE)
    first, second = dual_features(str(tmp_path))
    assert (first.name, second.name) == ("VGG-19 conv5_4", "ResNet-50 stages 1-3")
    assert not caplog.text
    assert next(first.net.parameters()).dtype == torch.float32


def test_unusable_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"alexnet_features.* do not exist"):
        dual_features(str(tmp_path))
    path = tmp_path / ALEXNET_FILE
    path.write_bytes(b"none")
    with pytest.raises(ModelError, match="no safetensors file"):
        fill(alexnet(1), path)
    save_file({"features.0.weight": torch.zeros(64, 3, 11, 11)}, path)
    with pytest.raises(ModelError, match=r"lack features\.0\.bias of shape \(64,\)"):
        fill(alexnet(1), path)
