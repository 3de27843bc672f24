"""Enlargement without weights: the kernels that every table starts with."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F


def bicubic_float(coarse: np.ndarray, scale: int) -> np.ndarray:
    """One step of Keys' cubic (a = -0.5), not rounded: (C, h, w) to (C, scale h, scale w)."""
    image = torch.from_numpy(np.ascontiguousarray(coarse))[None].float()
    fine = F.interpolate(image, scale_factor=scale, mode="bicubic", antialias=True)
    return fine[0].numpy()


def as_bytes(image: np.ndarray) -> np.ndarray:
    """The nearest unsigned bytes."""
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def bicubic(coarse: np.ndarray, scale: int) -> np.ndarray:
    """One step of Keys' cubic, rounded."""
    return as_bytes(bicubic_float(coarse, scale))


def lanczos(coarse: np.ndarray, scale: int) -> np.ndarray:
    """Pillow's windowed sinc of three lobes, band by band, rounded."""
    size = (scale * coarse.shape[2], scale * coarse.shape[1])
    bands = [Image.fromarray(band).resize(size, Image.Resampling.LANCZOS) for band in coarse]
    return np.stack([np.asarray(band) for band in bands])
