"""The rows that every table has, so that its figures mean something: no network takes part in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch.nn import functional as F

from ultrares.benchmark.cases import Bytes, Case, as_bytes, resized


def mean_image(case: Case) -> Bytes:
    """Each band's mean everywhere: what is known without looking at places."""
    means = case.coarse.mean(axis=(1, 2), keepdims=True).round().astype(np.uint8)
    return np.broadcast_to(means, case.truth.shape)


def bicubic_once(case: Case) -> Bytes:
    """Bicubic interpolation in one step."""
    return resized(case.coarse, case.truth.shape[-1])


def bicubic_in_steps(case: Case) -> Bytes:
    """Bicubic interpolation in steps of x2 and one for the rest; nothing holds the result to the image."""
    image = torch.from_numpy(case.coarse)[None].float()
    side, target = image.shape[-1], case.truth.shape[-1]
    while side < target:
        side = min(2 * side, target)
        image = F.interpolate(image, size=(side, side), mode="bicubic", antialias=True)
    return as_bytes(image[0])


BASELINES: Mapping[str, Callable[[Case], Bytes]] = {
    "mean image": mean_image,
    "bicubic, one step": bicubic_once,
    "bicubic, in steps of x2": bicubic_in_steps,
}
"""By the label of their rows, in the order of the tables."""
