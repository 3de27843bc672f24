"""The backbone without weights: Keys' cubic interpolation, and the baseline of every table."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from ultrares.types import NoiseAt, SizeRule


class BicubicBackbone:
    """Enlarges by 2 or 4 with the cubic kernel a = -0.5, any number of bands."""

    name = "bicubic"
    scales: tuple[int, ...] = (2, 4)
    bands: int | None = None
    halo = 2
    size_rule = SizeRule()
    stochastic = False

    def __call__(
        self,
        image: Tensor,
        *,
        scale: int = 2,
        mtf: float = 0.5,
        depth: int = 0,
        noise: NoiseAt | None = None,
    ) -> Tensor:
        """Return ``image`` (B, C, h, w) ``scale`` times finer; sensor and depth make no difference."""
        del mtf, depth, noise
        return F.interpolate(image, scale_factor=scale, mode="bicubic", antialias=True)
