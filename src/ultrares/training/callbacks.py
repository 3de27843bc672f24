"""What happens beside the optimisation: averaged weights, checkpoints, the log, previews, progress."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ultrares.data.pictures import contact_sheet, write_png
from ultrares.training.execution import Preview, Progress
from ultrares.training.log import FigureLog
from ultrares.training.task import Task

PREVIEW_DRAW = 2**31
"""Mixed into the seed of the previewed batch: no step has this number."""


class Averaging(pl.Callback):
    """Keeps an exponential moving average of the weights, in every checkpoint too.

    Lightning's own averages the whole module and leaves the averages in its place; this one copies the
    network alone and leaves the network as it was trained.

    Args:
        net: The network; not changed.
        decay: Weight of the past in each update.
    """

    def __init__(self, net: nn.Module, decay: float) -> None:
        self.averaged = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(decay))  # type: ignore[no-untyped-call]

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:  # noqa: ARG002
        """Follow the network to its device."""
        self.averaged.to(pl_module.device)

    def on_train_batch_end(self, *given: Any, **_: Any) -> None:
        """Take one step's weights in."""
        self.averaged.update_parameters(given[1].net)

    def state_dict(self) -> dict[str, Any]:
        """The averages and how many steps went into them."""
        return self.averaged.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from saved averages."""
        self.averaged.load_state_dict(state_dict)


class Checkpoints(pl.Callback):
    """Saves everything to one file every so many steps, and after the last one.

    Lightning's own would save no last step that is no multiple. The file is replaced at once or not at all.
    """

    def __init__(self, path: Path, every: int) -> None:
        self._path, self._every = path, every

    def on_train_batch_end(self, *given: Any, **_: Any) -> None:
        """Save, if it is time."""
        trainer: pl.Trainer = given[0]
        if trainer.global_step % self._every == 0 or trainer.global_step == trainer.max_steps:
            trainer.save_checkpoint(self._path)


class Figures(pl.Callback):
    """Writes the means of the task's figures to the log and to Lightning's loggers.

    Args:
        log: The log.
        every: Steps that a mean is taken over.
    """

    def __init__(self, log: FigureLog, every: int) -> None:
        self._log, self._every = log, every

    def on_train_batch_end(self, *given: Any, **_: Any) -> None:
        """Take the figures of a step."""
        trainer, task = given[0], given[1]
        assert isinstance(task, Task)
        if not trainer.is_global_zero:
            return
        self._log.add(task.figures)
        if trainer.global_step % self._every == 0 or trainer.global_step == trainer.max_steps:
            means = self._log.flush(trainer.global_step)
            for logger in trainer.loggers:
                logger.log_metrics(means, step=trainer.global_step)


class Previews(pl.Callback):
    """Draws the same batch again and again as the network learns.

    Args:
        folder: Where the PNG files go, named after their step.
        preview: Makes the pictures.
        seed: Seed of the batch.
        every: Steps between two pictures; the last step makes one too.
    """

    def __init__(self, folder: Path, preview: Preview, seed: int, every: int) -> None:
        self._folder, self._preview, self._seed, self._every = folder, preview, seed, every

    def on_train_batch_end(self, *given: Any, **_: Any) -> None:
        """Draw, if it is time."""
        trainer, task = given[0], given[1]
        step = trainer.global_step
        if not trainer.is_global_zero or (step % self._every and step != trainer.max_steps):
            return
        rng = np.random.default_rng((self._seed, PREVIEW_DRAW))
        with torch.no_grad():
            pictures = self._preview(task.net, rng)
        columns = [picture.detach().float().cpu().numpy() for picture in pictures.values()]
        self._folder.mkdir(exist_ok=True)
        write_png(self._folder / f"{step:07d}.png", contact_sheet(columns))


class Told(pl.Callback):
    """Reports every step to whoever wants to know."""

    def __init__(self, stage: str, progress: Progress) -> None:
        self._stage, self._progress = stage, progress

    def on_train_batch_end(self, *given: Any, **_: Any) -> None:
        """Report."""
        trainer = given[0]
        if trainer.is_global_zero:
            self._progress(self._stage, trainer.global_step, trainer.max_steps)
