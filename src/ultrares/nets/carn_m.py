"""CARN-M: a small cascading residual network (Ahn, Kang and Sohn, ECCV 2018), one net for x2, x3 and x4.

Written from the paper and the names in its state dict. "M" is the mobile one: grouped convolutions, and one
residual block used three times within each cascading block.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

WIDTH = 64
GROUPS = 4
NATIVE = (2, 3, 4)
HALO = 22
"""Pixels of the image that a result depends on."""


class Shift(nn.Module):
    """Takes the training set's mean colour out, or puts it back."""

    def __init__(self) -> None:
        super().__init__()
        self.shifter = nn.Conv2d(3, 3, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Return the shifted image."""
        return self.shifter(image)


class Body(nn.Module):
    """Some layers under the name that the state dict gives them."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.body = nn.Sequential(*layers)

    def forward(self, state: Tensor) -> Tensor:
        """Return what the layers make of the features."""
        return self.body(state)


class ResidualBlock(Body):
    """Two grouped convolutions and one across the groups, added to what went in."""

    def __init__(self) -> None:
        super().__init__(grouped(WIDTH), nn.ReLU(), grouped(WIDTH), nn.ReLU(), across(1))

    def forward(self, state: Tensor) -> Tensor:
        """Return the features after one block."""
        return F.relu(state + self.body(state))


class Cascade(nn.Module):
    """Three steps; after each, all that came before is merged by a 1 x 1 convolution."""

    def __init__(self) -> None:
        super().__init__()
        for index in (1, 2, 3):
            self.add_module(f"c{index}", Body(across(1 + index), nn.ReLU()))

    def step(self, index: int) -> nn.Module:
        """What is done at step 1, 2 or 3."""
        return self.get_submodule(f"b{index}")

    def forward(self, state: Tensor) -> Tensor:
        """Return the features after the cascade."""
        gathered = state
        for index in (1, 2, 3):
            gathered = torch.cat([gathered, self.step(index)(state)], dim=1)
            state = self.get_submodule(f"c{index}")(gathered)
        return state


class LocalCascade(Cascade):
    """A cascade whose three steps share one residual block."""

    def __init__(self) -> None:
        super().__init__()
        self.b1 = ResidualBlock()

    def step(self, index: int) -> nn.Module:
        """The one block, whatever the step."""
        del index
        return self.b1


class Upsample(nn.Module):
    """A branch for each factor: grouped convolutions, their channels laid out as pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.up2 = Body(*shuffled(2))
        self.up3 = Body(*shuffled(3))
        self.up4 = Body(*shuffled(2), *shuffled(2))

    def forward(self, state: Tensor, scale: int) -> Tensor:
        """Return features ``scale`` times finer."""
        return self.get_submodule(f"up{scale}")(state)


class CarnM(Cascade):
    """The whole net: a cascade of cascades between a first and a last convolution."""

    def __init__(self) -> None:
        super().__init__()
        for index in (1, 2, 3):
            self.add_module(f"b{index}", LocalCascade())
        self.sub_mean, self.add_mean = Shift(), Shift()
        self.entry = nn.Conv2d(3, WIDTH, 3, padding=1)
        self.upsample = Upsample()
        self.exit = nn.Conv2d(WIDTH, 3, 3, padding=1)

    def enlarge(self, image: Tensor, scale: int) -> Tensor:
        """Return the image (B, 3, h, w) in [0, 1] ``scale`` times finer; 2, 3 or 4."""
        state = super().forward(self.entry(self.sub_mean(image)))
        return self.add_mean(self.exit(self.upsample(state, scale)))


def grouped(outputs: int) -> nn.Conv2d:
    """A 3 x 3 convolution within each of four groups of channels."""
    return nn.Conv2d(WIDTH, outputs, 3, padding=1, groups=GROUPS)


def across(inputs: int) -> nn.Conv2d:
    """A 1 x 1 convolution from so many sets of features to one."""
    return nn.Conv2d(inputs * WIDTH, WIDTH, 1)


def shuffled(factor: int) -> tuple[nn.Module, ...]:
    """The layers that make features ``factor`` times finer."""
    return grouped(factor**2 * WIDTH), nn.ReLU(), nn.PixelShuffle(factor)
