from __future__ import annotations

from typing import TypeVar

import torch
from torch import nn

Net = TypeVar("Net", bound=nn.Module)


def shaken(net: Net, std: float = 0.1) -> Net:
    """The net with weights that matter everywhere, the same each time, in double precision."""
    generator = torch.Generator().manual_seed(3)
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=std, generator=generator)
    return net.eval().requires_grad_(requires_grad=False).double()
