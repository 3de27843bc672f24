"""The optimisation loop: averaged weights, checkpoints, exact resume, a log and pictures."""

from __future__ import annotations

import logging
import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from ultrares.errors import MissingExtraError, OptionError
from ultrares.training.execution import Companion, Execution, Loss, Preview
from ultrares.training.log import FigureLog
from ultrares.training.sections import OptimiserSection

if TYPE_CHECKING:
    import lightning.pytorch as pl
    from lightning.pytorch.loggers import Logger

LOG_EVERY = 100
CHECKPOINT_EVERY = 200
PREVIEW_EVERY = 1000
CHECKPOINT = "checkpoint.ckpt"

KNOWN_WARNINGS = (
    # Lightning 2.6 asks torch 2.12 in words that torch is about to retire.
    (r".*treespec, LeafSpec", FutureWarning),
)
"""What Lightning says of itself, by the beginning of its words."""


def optimise(
    net: nn.Module,
    loss: Loss,
    settings: OptimiserSection,
    *,
    folder: Path,
    seed: int,
    preview: Preview | None = None,
    execution: Execution | None = None,
    beside: Companion | None = None,
) -> nn.Module:
    """Fit ``net`` and return its averaged weights.

    A checkpoint in ``folder`` is resumed; the batches after it are those of an uninterrupted run, because
    each step draws from a generator of its own: of seed, step and, with several processes, rank.

    Args:
        net: Updated in place.
        loss: Draws a batch and returns its loss.
        settings: Rate, steps, clipping and averaging.
        folder: Where checkpoint, log and previews are kept; its name is the stage's.
        seed: Seed of the batches.
        preview: Makes pictures of a batch that stays the same.
        execution: Where to compute; None for one process on the device of ``net``.
        beside: What is fitted to the same loss by an optimiser of its own, updated in place. The loss has
            to keep gradients of one's terms out of the other.

    Raises:
        OptionError: The checkpoint is of another network, or there is no such accelerator.
        MissingExtraError: Lightning is not installed.
        KeyboardInterrupt: The run was interrupted; its last checkpoint is kept.
    """
    require_lightning()
    from ultrares.training import callbacks
    from ultrares.training.task import RemainingSteps, Task

    folder.mkdir(parents=True, exist_ok=True)
    execution = execution or Execution.where(net)
    home = next(net.parameters()).device
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    task = Task(net, loss, settings, seed, beside=beside)
    averaging = callbacks.Averaging(net, settings.ema)
    checkpoint, done = folder / CHECKPOINT, 0
    if checkpoint.exists():
        done = _steps_done(checkpoint, task, averaging)
    followers: list[Any] = [
        averaging,
        callbacks.Figures(FigureLog(folder / "log.csv", done), LOG_EVERY),
    ]
    if preview:
        followers.append(callbacks.Previews(folder / "previews", preview, seed, PREVIEW_EVERY))
    if execution.progress:
        followers.append(callbacks.Told(folder.name, execution.progress))
    followers.append(callbacks.Checkpoints(checkpoint, CHECKPOINT_EVERY))
    if done < settings.steps:
        with _lightning_at_its_best():
            _trainer(execution, settings.steps, followers, _loggers(folder, done)).fit(
                task,
                RemainingSteps(done, settings.steps),
                ckpt_path=checkpoint if done else None,
            )
    trained: nn.Module = averaging.averaged.module.to(home)
    return trained


def require_lightning() -> None:
    """Say how to get what training needs, if it is not there.

    Raises:
        MissingExtraError: Lightning is not installed.
    """
    if find_spec("lightning") is None:
        raise MissingExtraError(
            "training needs Lightning, which is not installed: run `pip install ultrares[train]`"
        )


def _steps_done(path: Path, task: nn.Module, averaging: Any) -> int:
    """Put the averaged weights back and return the number of steps of a checkpoint.

    Lightning puts back the rest, but would refuse another network with a traceback, and would not say what
    a run that is done has become.
    """
    # A run may go on on another device than the one it was stopped on.
    state = torch.load(path, weights_only=True, map_location="cpu")
    own = {key: value.shape for key, value in task.state_dict().items()}
    if own != {key: value.shape for key, value in state["state_dict"].items()}:
        raise OptionError(
            f"checkpoint {path} is of another network than the recipe's: pass another --out, or delete it"
        )
    averaging.load_state_dict(state["callbacks"][averaging.state_key])
    return int(state["global_step"])


def _trainer(
    execution: Execution, steps: int, callbacks: list[Any], loggers: list[Logger]
) -> pl.Trainer:
    from lightning.fabric.utilities.exceptions import MisconfigurationException
    from lightning.pytorch import Trainer

    try:
        return Trainer(
            accelerator=execution.accelerator,
            devices=execution.devices,
            strategy=execution.strategy,
            max_steps=steps,
            max_epochs=-1,
            callbacks=callbacks,
            logger=loggers or False,
            # We keep our own: see callbacks.Checkpoints.
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
        )
    except MisconfigurationException as error:
        raise OptionError(
            f"{execution.devices} device(s) of kind {execution.accelerator!r} cannot be used here: "
            f"pass --accelerator cpu or fewer --devices ({str(error).splitlines()[0]})"
        ) from error


def _loggers(folder: Path, done: int) -> list[Logger]:
    """TensorBoard's, if it is installed."""
    if find_spec("tensorboard") is None:
        return []
    from lightning.pytorch.loggers import TensorBoardLogger

    # What a stopped run showed after its last checkpoint will come again.
    return [TensorBoardLogger(folder, name="", version="tensorboard", purge_step=done + 1)]


@contextmanager
def _lightning_at_its_best() -> Iterator[None]:
    """Let Lightning work without advertising, and let Ctrl-C be what it is elsewhere.

    Raises:
        KeyboardInterrupt: Lightning met one. It would exit with status 1 and leave Ctrl-C switched off.
    """
    voices = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [voice.level for voice in voices]
    before = signal.getsignal(signal.SIGINT)
    try:
        for voice in voices:
            voice.setLevel(logging.WARNING)
        with warnings.catch_warnings():
            for message, category in KNOWN_WARNINGS:
                warnings.filterwarnings("ignore", message, category)
            yield
    except SystemExit as stop:
        if isinstance(stop.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from stop
        raise
    finally:
        for voice, level in zip(voices, levels, strict=True):
            voice.setLevel(level)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, before)
