from __future__ import annotations

import csv
import itertools
import signal
import warnings
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from rasterio.errors import NotGeoreferencedWarning
from torch import nn

from ultrares.errors import MissingExtraError, OptionError
from ultrares.training import loop
from ultrares.training.adversarial import without_gradient
from ultrares.training.execution import Companion, Execution
from ultrares.training.loop import optimise
from ultrares.training.sections import OptimiserSection
from ultrares.training.task import relative_rate

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


class _Game(Companion):
    """A generator's loss and a judge's: each as the other is before the step."""

    relative_rate = 0.5

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        # One that counts what it saw, as discriminators do: buffers have to be resumed too.
        # No bias whose gradient is nothing but rounding, which Adam would blow up.
        self.judge = nn.Sequential(
            nn.Conv2d(1, 2, 3, bias=False),
            nn.BatchNorm2d(2),
            nn.ReLU(),
            nn.Conv2d(2, 1, 3, bias=False),
        )

    def sides(self, net: nn.Module, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        image = torch.from_numpy(rng.random((2, 1, 8, 8), dtype=np.float32))
        made = net(image)
        with without_gradient(self.judge):
            ours = (made - 0.5).square().mean() - self.judge(made).mean()
        return ours, self.judge(made.detach()).mean() - self.judge(image).mean()

    def forward(
        self, net: nn.Module, rng: np.random.Generator
    ) -> tuple[torch.Tensor, dict[str, float]]:
        ours, judged = self.sides(net, rng)
        return ours + judged, {"judge": judged.item()}


def test_two_networks_are_fitted_as_by_two_optimisers_in_turns(tmp_path: Path) -> None:
    """The generator's step first; the judge then sees the images of before it, as ESRGAN's does."""
    game = _Game()
    fitted = optimise(_net(), game, SETTINGS, folder=tmp_path, seed=3, beside=game)
    net, other = _net(), _Game()
    adams = [torch.optim.Adam(each.parameters(), betas=(0.9, 0.99)) for each in (net, other)]
    mean = None
    for step in range(SETTINGS.steps):
        ours, judged = other.sides(net, np.random.default_rng((3, step)))
        rate = SETTINGS.rate * relative_rate(step, SETTINGS)
        for adam, value, each in zip(adams, (ours, judged), (net, other), strict=True):
            adam.param_groups[0]["lr"] = rate if each is net else 0.5 * rate
            adam.zero_grad()
            value.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(each.parameters(), SETTINGS.clip)
            adam.step()
        mean = _weights(net) if mean is None else 0.5 * mean + 0.5 * _weights(net)
    torch.testing.assert_close(_weights(fitted), mean, rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(_weights(game), _weights(other), rtol=1e-6, atol=1e-7)
    assert not torch.equal(_weights(game), _weights(_Game()))


def test_a_resumed_game_equals_the_uninterrupted_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    straight = _Game()
    optimise(_net(), straight, SETTINGS, folder=tmp_path / "straight", seed=3, beside=straight)
    monkeypatch.setattr(loop, "CHECKPOINT_EVERY", 3)
    stopped = tmp_path / "stopped"
    calls = 0

    class _Interrupted(_Game):
        def forward(
            self, net: nn.Module, rng: np.random.Generator
        ) -> tuple[torch.Tensor, dict[str, float]]:
            nonlocal calls
            calls += 1
            if calls == 5:
                raise KeyboardInterrupt
            return super().forward(net, rng)

    game = _Interrupted()
    with pytest.raises(KeyboardInterrupt):
        optimise(_net(), game, SETTINGS, folder=stopped, seed=3, beside=game)
    resumed = _Game()
    net = optimise(_net(), resumed, SETTINGS, folder=stopped, seed=3, beside=resumed)
    done = optimise(
        _net(), straight, SETTINGS, folder=tmp_path / "straight", seed=3, beside=straight
    )
    assert torch.equal(_weights(net), _weights(done))
    for key, value in straight.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[key]), key
    with pytest.raises(OptionError, match="of another network"):
        optimise(_net(), _loss, SETTINGS, folder=stopped, seed=3)


def test_lightning_does_what_a_plain_loop_does(tmp_path: Path) -> None:
    """Adam, the rate, the clipping and the average, written out in torch."""
    fitted = optimise(_net(), _loss, SETTINGS, folder=tmp_path, seed=3)
    net = _net()
    adam = torch.optim.Adam(net.parameters(), betas=(0.9, 0.99))
    mean = None
    for step in range(SETTINGS.steps):
        adam.param_groups[0]["lr"] = SETTINGS.rate * relative_rate(step, SETTINGS)
        value, _ = _loss(net, np.random.default_rng((3, step)))
        adam.zero_grad()
        value.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(net.parameters(), SETTINGS.clip)
        adam.step()
        mean = _weights(net) if mean is None else 0.5 * mean + 0.5 * _weights(net)
    torch.testing.assert_close(_weights(fitted), mean, rtol=1e-6, atol=1e-7)


def test_a_finished_run_is_read_not_trained(tmp_path: Path) -> None:
    first = optimise(_net(), _loss, SETTINGS, folder=tmp_path, seed=3)

    def never(*_: object) -> tuple[torch.Tensor, dict[str, float]]:
        raise AssertionError("there is nothing left to train")

    again = optimise(_net(), never, SETTINGS, folder=tmp_path, seed=3)
    assert torch.equal(_weights(first), _weights(again))


def test_ctrl_c_stays_what_it_was(tmp_path: Path) -> None:
    def interrupted(*_: object) -> tuple[torch.Tensor, dict[str, float]]:
        raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        optimise(_net(), interrupted, SETTINGS, folder=tmp_path, seed=3)
    assert signal.getsignal(signal.SIGINT) is before


def test_processes_of_other_rank_draw_other_batches() -> None:
    """A lone process has rank 0, and (seed, step, 0) draws what (seed, step) does."""
    draws = [np.random.default_rng(key).random() for key in ((3, 5), (3, 5, 0), (3, 5, 1))]
    assert draws[0] == draws[1] != draws[2]


def test_progress_and_previews_follow_the_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "PREVIEW_EVERY", 4)
    told: list[tuple[str, int, int]] = []
    drawn: list[float] = []

    def preview(_: nn.Module, rng: np.random.Generator) -> dict[str, torch.Tensor]:
        drawn.append(float(rng.random()))
        black, white = torch.zeros(2, 3, 8, 8), torch.ones(2, 3, 8, 8)
        return {"input": black, "truth": white}

    optimise(
        _net(),
        _loss,
        SETTINGS,
        folder=tmp_path / "backbone",
        seed=0,
        preview=preview,
        execution=Execution(progress=lambda *given: told.append(given)),
    )
    assert told == [("backbone", step, 6) for step in range(1, 7)]
    pictures = sorted((tmp_path / "backbone" / "previews").iterdir())
    assert [picture.name for picture in pictures] == ["0000004.png", "0000006.png"]
    assert drawn[0] == drawn[1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(pictures[0]) as picture:
            image = picture.read()
    # Two rows of two pictures of 8, with white between.
    assert image.shape == (3, 18, 18)
    assert (image[:, :8, :8] == 0).all()
    assert (image[:, :, 8:] == 255).all()


def test_tensorboard_gets_the_figures_too(tmp_path: Path) -> None:
    optimise(_net(), _loss, SETTINGS, folder=tmp_path, seed=0)
    with warnings.catch_warnings():
        # TensorBoard's reader, not ours to mend.
        warnings.simplefilter("ignore")
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        events = EventAccumulator(str(tmp_path / "tensorboard"))
        events.Reload()
        (point,) = events.Scalars("loss")
    with (tmp_path / "log.csv").open() as file:
        (row,) = [row for row in csv.DictReader(file) if row["figure"] == "loss"]
    assert point.step == int(row["step"]) == 6
    assert point.value == pytest.approx(float(row["mean"]), abs=1e-5)


def test_without_lightning_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"pip install ultrares\[train\]"):
        optimise(_net(), _loss, SETTINGS, folder=tmp_path, seed=0)


def test_an_accelerator_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"'gpu' cannot be used here: pass --accelerator cpu"):
        optimise(
            _net(),
            _loss,
            SETTINGS,
            folder=tmp_path,
            seed=0,
            execution=Execution("gpu", devices=64),
        )


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
    rates = [relative_rate(step, OptimiserSection(steps=102, warmup=2)) for step in range(102)]
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
