"""What the losses of GANs share: relativistic verdicts, and networks that lend gradients but take none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ultrares.nets.discriminator import Discriminator

SMALL_RATE = 0.1
"""Share of the generator's learning rate that the small discriminators have.

They start along with it, and at its own rate their verdicts were seen to swing from one side to the other."""


class Verdicts(NamedTuple):
    """The two sides of one game; each is 0-d, and gradients of one do not reach the other's network.

    Attributes:
        generator: The loss of who makes images.
        discriminator: The loss of who tells them from real ones.
    """

    generator: Tensor
    discriminator: Tensor


def relativistic_loss(winning: Tensor, losing: Tensor) -> Tensor:
    """Loss of a relativistic average GAN, lowest where ``winning`` looks more real than ``losing``.

    -E[log s(a - E b)] - E[log(1 - s(b - E a))] over verdicts a and b, s the sigmoid: the discriminator's
    loss with real verdicts winning, the generator's with those on its images (Jolicoeur-Martineau,
    arXiv 1807.00734; ESRGAN, Eq. 1 and 2).

    Args:
        winning: Verdicts without bounds, any shape.
        losing: The same shape.
    """
    above, below = winning - losing.mean(), losing - winning.mean()
    return F.softplus(-above).mean() + F.softplus(below).mean()


def relativistic_game(discriminator: Discriminator, real: Tensor, fake: Tensor) -> Verdicts:
    """Both losses of one batch of real and made images, (B, C, H, W) in [0, 1].

    Both are of the networks as they are before the step, which is what taking turns amounts to where
    the discriminator sees the images of before the generator's step, as ESRGAN's does.
    """
    with without_gradient(discriminator):
        generator = relativistic_loss(discriminator(fake), discriminator(real))
    own = relativistic_loss(discriminator(real), discriminator(fake.detach()))
    return Verdicts(generator, own)


@contextmanager
def without_gradient(net: nn.Module) -> Iterator[None]:
    """Let gradients pass through a network to its input, but not into its weights."""
    trained = [parameter for parameter in net.parameters() if parameter.requires_grad]
    for parameter in trained:
        parameter.requires_grad = False
    try:
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad = True


def normal_numbers(shape: torch.Size, seed: int) -> Tensor:
    """Standard normal numbers of a seed, on the CPU."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))
