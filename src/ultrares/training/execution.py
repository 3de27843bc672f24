"""How a training run is carried out, and what a stage gives to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor, nn

Loss = Callable[[nn.Module, np.random.Generator], tuple[Tensor, dict[str, float]]]
"""The loss of one freshly drawn batch, and figures worth logging (averaged between log lines).

The batch has to be on the device that the module's parameters are on."""

Preview = Callable[[nn.Module, np.random.Generator], Mapping[str, Tensor]]
"""Pictures worth looking at, by name: (B, 3, h, w) in [0, 1], one size, of one batch."""

Progress = Callable[[str, int, int], None]
"""Called after each step with the stage, the steps done and the steps in total."""


class Companion(nn.Module):
    """Weights that a loss judges by and that are fitted to it too, such as a discriminator's.

    They are kept in checkpoints, and not with the model.
    """

    relative_rate = 1.0
    """Its learning rate, as a share of the network's."""


@dataclass(frozen=True)
class Execution:
    """Where a run computes, and whom it tells how far it is.

    The first three are handed to Lightning's Trainer as they are.

    Attributes:
        accelerator: ``cpu`` or ``gpu``.
        devices: Number of processes, one per GPU, or a list of GPU indices. Each draws batches of its own,
            so the effective batch grows with it.
        strategy: How gradients are gathered.
        progress: None for silence.
    """

    accelerator: str = "cpu"
    devices: int | list[int] = 1
    strategy: str = "auto"
    progress: Progress | None = None

    @classmethod
    def where(cls, net: nn.Module) -> Execution:
        """One process on the device that a network is on."""
        device = next(net.parameters()).device
        if device.type == "cpu":
            return cls()
        return cls("gpu", devices=[device.index or 0])

    @property
    def processes(self) -> int:
        """How many there are, each on a device of its own."""
        return self.devices if isinstance(self.devices, int) else len(self.devices)

    def with_idle_weights(self) -> Execution:
        """The same for a network whose every step leaves some weights alone, such as another scale's."""
        if self.processes == 1 or self.strategy != "auto":
            return self
        return replace(self, strategy="ddp_find_unused_parameters_true")
