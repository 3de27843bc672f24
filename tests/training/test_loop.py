from __future__ import annotations

import csv
import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from ultrares.training import loop
from ultrares.training.loop import optimise
from ultrares.training.recipe import OptimiserSection

SETTINGS = OptimiserSection(steps=6, rate=1e-2, warmup=2, clip=1.0, ema=0.5)


def _net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Conv2d(1, 1, 3)


def _loss(net: nn.Module, rng: np.random.Generator) -> tuple[torch.Tensor, dict[str, float]]:
    image = torch.from_numpy(rng.random((2, 1, 8, 8), dtype=np.float32))
    value = (net(image) - 0.5).square().mean()
    return value, {"twice": 2 * value.item()}


def _weights(net: nn.Module) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in net.parameters()])


def test_resumed_run_equals_the_uninterrupted_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    straight = optimise(_net(), _loss, SETTINGS, folder=tmp_path / "straight", seed=3)
    monkeypatch.setattr(loop, "CHECKPOINT_EVERY", 3)
    calls = 0

    def interrupted(
        net: nn.Module, rng: np.random.Generator
    ) -> tuple[torch.Tensor, dict[str, float]]:
        nonlocal calls
        calls += 1
        if calls == 5:
            raise KeyboardInterrupt
        return _loss(net, rng)

    with pytest.raises(KeyboardInterrupt):
        optimise(_net(), interrupted, SETTINGS, folder=tmp_path / "stopped", seed=3)
    resumed = optimise(_net(), _loss, SETTINGS, folder=tmp_path / "stopped", seed=3)
    assert torch.equal(_weights(straight), _weights(resumed))
    other = optimise(_net(), _loss, SETTINGS, folder=tmp_path / "other", seed=4)
    assert not torch.equal(_weights(straight), _weights(other))


def test_the_weights_returned_are_averaged(tmp_path: Path) -> None:
    """After the first step the average is the net itself; after the second half of each."""
    seen: list[torch.Tensor] = []

    def watched(net: nn.Module, rng: np.random.Generator) -> tuple[torch.Tensor, dict[str, float]]:
        seen.append(_weights(net).clone())
        return _loss(net, rng)

    net = _net()
    settings = SETTINGS.model_copy(update={"steps": 2})
    averaged = optimise(net, watched, settings, folder=tmp_path, seed=0)
    torch.testing.assert_close(_weights(averaged), 0.5 * seen[1] + 0.5 * _weights(net))


def test_rate_warms_up_and_falls_to_zero() -> None:
    rates = [loop._rate(step, OptimiserSection(steps=102, warmup=2)) for step in range(102)]
    assert rates[:3] == [0.5, 1.0, 1.0]
    assert rates[52] == pytest.approx(0.5)
    assert 0 < rates[-1] < 1e-3
    assert all(after <= before for before, after in itertools.pairwise(rates[1:]))


def test_figures_are_averaged_into_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "LOG_EVERY", 3)
    optimise(_net(), _loss, SETTINGS, folder=tmp_path, seed=0)
    with (tmp_path / "log.csv").open() as file:
        rows = {(row["step"], row["figure"]): row for row in csv.DictReader(file)}
    for step in ("3", "6"):
        twice, once = (float(rows[step, name]["mean"]) for name in ("twice", "loss"))
        assert twice == pytest.approx(2 * once, abs=2e-5)
        assert rows[step, "loss"]["batches"] == "3"
    assert float(rows["6", "loss"]["mean"]) < float(rows["3", "loss"]["mean"])


def test_a_resumed_log_says_nothing_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It had logged step 5, but saved step 3."""
    monkeypatch.setattr(loop, "CHECKPOINT_EVERY", 3)
    stopped = tmp_path / "stopped"

    def interrupted(
        net: nn.Module, rng: np.random.Generator
    ) -> tuple[torch.Tensor, dict[str, float]]:
        if (stopped / "log.csv").exists() and "\n5," in (stopped / "log.csv").read_text():
            raise KeyboardInterrupt
        return _loss(net, rng)

    monkeypatch.setattr(loop, "LOG_EVERY", 1)
    with pytest.raises(KeyboardInterrupt):
        optimise(_net(), interrupted, SETTINGS, folder=stopped, seed=0)
    optimise(_net(), _loss, SETTINGS, folder=stopped, seed=0)
    with (stopped / "log.csv").open() as file:
        steps = [row["step"] for row in csv.DictReader(file) if row["figure"] == "loss"]
    assert steps == ["1", "2", "3", "4", "5", "6"]
