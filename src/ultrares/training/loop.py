"""The optimisation loop: averaged weights, checkpoints, exact resume, and a log."""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ultrares.errors import OptionError
from ultrares.training.recipe import OptimiserSection

Loss = Callable[[nn.Module, np.random.Generator], tuple[Tensor, dict[str, float]]]
"""The loss of one freshly drawn batch, and figures worth logging (averaged between log lines)."""

LOG_EVERY = 100
CHECKPOINT_EVERY = 200


def _rate(step: int, settings: OptimiserSection) -> float:
    if step < settings.warmup:
        return (step + 1) / settings.warmup
    progress = (step - settings.warmup) / max(1, settings.steps - settings.warmup)
    return 0.5 * (1 + math.cos(math.pi * progress))


class _Log:
    """Averages figures and appends them to a CSV file, one row per figure.

    Rows after step ``done`` are of a run that was stopped; they are dropped, for they will come again.
    """

    def __init__(self, path: Path, done: int) -> None:
        self._path = path
        self._forget_after(done)
        self._sums: dict[str, tuple[float, int]] = {}
        self._start = time.monotonic()

    def _forget_after(self, done: int) -> None:
        if not self._path.exists():
            return
        head, *rows = self._path.read_text().splitlines(keepends=True)
        kept = [row for row in rows if int(row.split(",", 1)[0]) <= done]
        staging = self._path.with_suffix(".part")
        staging.write_text("".join([head, *kept]))
        staging.replace(self._path)

    def add(self, figures: dict[str, float]) -> None:
        for name, value in figures.items():
            total, count = self._sums.get(name, (0.0, 0))
            self._sums[name] = (total + value, count + 1)

    def flush(self, step: int) -> None:
        new = not self._path.exists()
        with self._path.open("a", newline="") as file:
            writer = csv.writer(file)
            if new:
                writer.writerow(["step", "seconds", "figure", "mean", "batches"])
            seconds = round(time.monotonic() - self._start)
            for name, (total, count) in sorted(self._sums.items()):
                writer.writerow([step, seconds, name, f"{total / count:.5f}", count])
        self._sums.clear()


def _save(path: Path, state: dict[str, object]) -> None:
    staging = path.with_suffix(".part")
    torch.save(state, staging)
    staging.replace(path)


def _restore(
    path: Path, net: nn.Module, averaged: nn.Module, optimiser: torch.optim.Optimizer
) -> int:
    """Put everything back as it was saved and return the number of steps done."""
    # A run may go on on another device than the one it was stopped on.
    state = torch.load(path, weights_only=True, map_location="cpu")
    try:
        net.load_state_dict(state["net"])
    except RuntimeError as error:
        raise OptionError(
            f"checkpoint {path} is of another network than the recipe's: pass another --out, or delete it"
        ) from error
    averaged.load_state_dict(state["averaged"])
    optimiser.load_state_dict(state["optimiser"])
    return int(state["step"])


def optimise(
    net: nn.Module,
    loss: Loss,
    settings: OptimiserSection,
    *,
    folder: Path,
    seed: int,
) -> nn.Module:
    """Fit ``net`` and return its averaged weights.

    A checkpoint in ``folder`` is resumed; the batches after it are those of an uninterrupted run, because
    each step draws from a generator of its own.

    Args:
        net: Updated in place.
        loss: Draws a batch and returns its loss.
        settings: Rate, steps, clipping and averaging.
        folder: Where checkpoint and log are kept.
        seed: Seed of the batches.

    Raises:
        OptionError: The checkpoint is of another network.
    """
    folder.mkdir(parents=True, exist_ok=True)
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.Adam(net.parameters(), lr=settings.rate, betas=(0.9, 0.99))
    averaged = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(settings.ema))  # type: ignore[no-untyped-call]
    checkpoint, done = folder / "checkpoint.pt", 0
    if checkpoint.exists():
        done = _restore(checkpoint, net, averaged, optimiser)
    log = _Log(folder / "log.csv", done)
    for step in range(done, settings.steps):
        for group in optimiser.param_groups:
            group["lr"] = settings.rate * _rate(step, settings)
        rng = np.random.default_rng((seed, step))
        value, figures = loss(net, rng)
        optimiser.zero_grad(set_to_none=True)
        value.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(net.parameters(), settings.clip)
        optimiser.step()
        averaged.update_parameters(net)
        log.add({"loss": value.item(), "gradient norm": norm.item(), **figures})
        if (step + 1) % LOG_EVERY == 0:
            log.flush(step + 1)
        if (step + 1) % CHECKPOINT_EVERY == 0 or step + 1 == settings.steps:
            _save(
                checkpoint,
                {
                    "net": net.state_dict(),
                    "averaged": averaged.state_dict(),
                    "optimiser": optimiser.state_dict(),
                    "step": step + 1,
                },
            )
    trained: nn.Module = averaged.module
    return trained
