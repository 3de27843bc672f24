from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from einops import reduce
from torch import Tensor, nn
from torch.nn import functional as F

from ultrares.backbones.wavelet_residual import WaveletResidualBackbone
from ultrares.nets.wavelet_residual import WaveletResidualNet
from ultrares.sensor.models import Box
from ultrares.training import phases
from ultrares.training.backbone_stage import pair_sampler
from ultrares.training.denoiser_stage import means_of_backbone, measure_stds, train_denoiser
from ultrares.training.stages import Stage

STAGE = Stage.model_validate(
    {
        "data": {
            "sensors": {"box": 0.5, "bicubic": 0.5},
            "depths": [0.6, 0.4, 0],
            "crop": 16,
            "batch": 8,
        },
        "net": {"width": 8, "blocks": [1, 1, 1]},
        "optimiser": {"steps": 1},
    }
)
TILES = np.random.default_rng(0).integers(0, 256, size=(3, 4, 128, 128)).astype(np.uint8)

CPU = torch.device("cpu")

Loss = Callable[[nn.Module, np.random.Generator], tuple[Tensor, dict[str, float]]]


@pytest.fixture
def backbone() -> WaveletResidualBackbone:
    torch.manual_seed(0)
    return WaveletResidualBackbone(WaveletResidualNet(width=8, blocks=1).eval(), autocast=False)


class Watched(nn.Module):
    """Says nothing, and keeps what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[Tensor, ...]] = []

    def forward(self, *inputs: Tensor) -> Tensor:
        self.asked.append(inputs)
        return torch.zeros_like(inputs[0])


def test_loss_is_the_squared_error_of_the_velocity(
    backbone: WaveletResidualBackbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By hand, for a network that says 0: mean (signal e - noise x)^2, signal = (1 + sigma^2)^-1/2."""
    kept: list[Loss] = []

    def keep(net: nn.Module, loss: Loss, *_: object, **__: object) -> nn.Module:
        kept.append(loss)
        return net

    monkeypatch.setattr(phases, "optimise", keep)
    draw = means_of_backbone(backbone, pair_sampler(TILES, STAGE.data))
    _, bands = train_denoiser(STAGE, lambda _: draw, folder=tmp_path, autocast=False)
    drawn = []
    for step in range(12):
        net = Watched()
        value, _ = kept[0](net, np.random.default_rng(step))
        noisy, guide, log_sigma, context = net.asked[0]
        for given in net.asked[0]:
            assert given.dtype == torch.float32

        batch = draw(np.random.default_rng(step), CPU)
        clean = bands.encode(batch.target, batch.mean)
        sigma = log_sigma.exp()[:, None, None, None]
        signal = (1 + sigma**2).rsqrt()
        normal = (noisy - signal * clean) / (sigma * signal)
        expected = (signal * normal - sigma * signal * clean).square().mean()
        torch.testing.assert_close(value, expected, rtol=1e-3, atol=0)
        # What was left over as noise is noise: it knows nothing of the signal.
        assert normal.mean().abs() < 0.05
        assert normal.std().item() == pytest.approx(1, abs=0.05)
        assert guide.shape == (8, 15, 16, 16)
        assert context.shape == (8, 2)
        drawn.append(log_sigma)
    log_sigmas = torch.cat(drawn)
    assert log_sigmas.mean().item() == pytest.approx(-0.3, abs=0.1)
    assert log_sigmas.std().item() == pytest.approx(1, abs=0.15)


def test_the_measured_scale_makes_residuals_unit(backbone: WaveletResidualBackbone) -> None:
    draw = means_of_backbone(backbone, pair_sampler(TILES, STAGE.data))
    bands = measure_stds(draw, seed=5, batches=4)
    power = torch.zeros(4)
    for step in range(4):
        batch = draw(np.random.default_rng((5, 1, step)), CPU)
        residual = bands.encode(batch.target, batch.mean)
        power += reduce(residual.square(), "b (band c) h w -> band", "mean", band=4) / 4
    torch.testing.assert_close(power, torch.ones(4), rtol=1e-4, atol=0)


def test_the_mean_is_what_fidelity_mode_returns(backbone: WaveletResidualBackbone) -> None:
    """Held to the image for a box, and the backbone's alone for any other sensor."""
    sampler = pair_sampler(TILES, STAGE.data.model_copy(update={"depths": (1.0, 0.0, 0.0)}))
    draw, seen = means_of_backbone(backbone, sampler), set()
    for step in range(8):
        batch = draw(np.random.default_rng(step), CPU)
        held = bool((F.avg_pool2d(batch.mean, 2) - batch.image).abs().max() < 1e-5)
        assert held == (batch.mtf == Box().mtf)
        seen.add(batch.mtf)
    assert len(seen) == 2
