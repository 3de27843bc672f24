"""The scalings of EDM: what a network sees and gives when noise is simply added to the signal."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Scaling(NamedTuple):
    """Factors in D(x; sigma) = c_skip x + c_out F(c_in x), each of the shape of sigma."""

    c_skip: Tensor
    c_out: Tensor
    c_in: Tensor


def edm_scaling(sigma: Tensor, sigma_data: float = 1.0) -> Scaling:
    """Factors that keep a network's input and target at unit variance.

    From Karras et al. 2022, Table 1. With ``sigma_data`` = 1 the network is a v-predictor of the
    variance-preserving process with the opposite sign: F = -v, and c_in is its signal level.

    Args:
        sigma: Standard deviation of the noise added to the clean signal, positive.
        sigma_data: Standard deviation of the clean signal.
    """
    total = torch.sqrt(sigma**2 + sigma_data**2)
    return Scaling(
        c_skip=(sigma_data / total) ** 2, c_out=sigma * sigma_data / total, c_in=1 / total
    )
