"""Spatiotemporal fusion: a fine image of one date brought to the date of a coarse one.

What STARFM and its kin do in remote sensing (Gao et al., 2006): two coarse images, the scene's own and the fine
one's, tell what has changed, and the detail of the fine one is believed where nothing has. A U-Net looks at both at
once, from the fine pixels to blocks of sixteen, so it can tell a shadow that moved from a house that was built.

science.md names no source for this network; docs/decisions/0018-fusion.md says why it is there.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ultrares.nets.wavelet_residual import ResidualBlock, silence

FOLD = 4
"""Side of the blocks of pixels that become channels."""

MULTIPLE = 4 * FOLD
"""What sides must be multiples of: two halvings below the folded pixels."""

DETAIL_GAIN = 4.0
"""What details are multiplied by, so that they are as large as the image."""

START_GAIN = 0.6
"""Share of the fine image's detail that is taken before anything is learnt, near the best single one."""

BLOCKS, HALF_BLOCKS, QUARTER_BLOCKS = 3, 2, 3
"""Residual blocks before and after, at half and at a quarter of the folded resolution."""


def _blocks(width: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(ResidualBlock(width) for _ in range(count)))


class SpatiotemporalFusion(nn.Module):
    """A fine image of another date as it would be on the scene's.

    Args:
        bands: Bands of the image.
        width: Channels at the folded resolution; twice as many below.
    """

    multiple_of = MULTIPLE

    def __init__(self, *, bands: int = 3, width: int = 64) -> None:
        super().__init__()
        self.bands = bands
        self.stem = nn.Conv2d(3 * bands * FOLD**2, width, 3, padding=1)
        self.context = nn.Linear(2, width)
        self.before = _blocks(width, BLOCKS)
        self.to_half = nn.Conv2d(width, 2 * width, 2, stride=2)
        self.halved = _blocks(2 * width, HALF_BLOCKS)
        self.to_quarter = nn.Conv2d(2 * width, 2 * width, 2, stride=2)
        self.quartered = _blocks(2 * width, QUARTER_BLOCKS)
        self.from_quarter = nn.Conv2d(2 * width, 8 * width, 1)
        self.from_half = nn.Conv2d(2 * width, 4 * width, 1)
        self.after = _blocks(width, BLOCKS)
        self.head = nn.Conv2d(width, 2 * bands * FOLD**2, 3, padding=1)
        silence(self.head)

    @property
    def halo(self) -> int:
        """Pixels around a result that it depends on."""
        folded = 2 * (1 + 2 * BLOCKS) + 2 * 2 * HALF_BLOCKS + 4 * 2 * QUARTER_BLOCKS
        return FOLD * folded + MULTIPLE

    def forward(self, smooth: Tensor, reference: Tensor, coarse: Tensor, context: Tensor) -> Tensor:
        """Bring ``reference`` to the date of the scene.

        Args:
            smooth: The scene, enlarged by interpolation, (B, C, h, w), in [0, 1]; h and w multiples of 16.
            reference: The fine image of the other date, in the scene's radiometry, of the same shape.
            coarse: It, reduced as the scene's sensor does and enlarged as ``smooth``, of the same shape.
            context: Logarithm of the ratio of resolutions and the sensor's transfer, (B, 2) or (1, 2); see
                ``ultrares.methods.reference_fusion.context_of``.

        Returns:
            The fine image on the scene's date, (B, C, h, w).
        """
        detail = reference - coarse
        seen = torch.cat(
            [smooth - 0.5, DETAIL_GAIN * (smooth - coarse), DETAIL_GAIN * detail], dim=1
        )
        features = self.stem(F.pixel_unshuffle(seen, FOLD))
        features = self.before(features + self.context(context)[:, :, None, None])
        half = self.halved(self.to_half(features))
        half = half + F.pixel_shuffle(self.from_quarter(self.quartered(self.to_quarter(half))), 2)
        features = self.after(features + F.pixel_shuffle(self.from_half(half), 2))
        gain, residual = F.pixel_shuffle(self.head(features).float(), FOLD).chunk(2, dim=1)
        fused: Tensor = smooth + (START_GAIN + gain) * detail + residual
        return fused
