"""The latent encoder of LE-GAN in our reading: a small variational auto-encoder of image patches."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from ultrares.nets.gaussian import Gaussian


class LatentEncoder(nn.Module):
    """Maps images to a distribution of latent codes, 8 times coarser, and codes back to images.

    Args:
        bands: Bands of the image.
        width: Channels of the first layer; they double twice.
        latent: Channels of the code.
    """

    FACTOR = 8

    def __init__(self, *, bands: int = 3, width: int = 32, latent: int = 16) -> None:
        super().__init__()
        widths = [bands, width, 2 * width, 4 * width]
        self.down = nn.Sequential()
        for before, after in pairwise(widths):
            self.down.append(nn.Conv2d(before, after, 4, stride=2, padding=1))
            self.down.append(nn.LeakyReLU(0.2))
        self.code = nn.Conv2d(widths[-1], 2 * latent, 3, padding=1)
        self.up = nn.Sequential(
            nn.Conv2d(latent, widths[-1], 3, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(widths[-1], bands * self.FACTOR**2, 3, padding=1),
        )

    def encode(self, image: Tensor) -> Gaussian:
        """The codes of images (B, C, H, W) in [0, 1], (B, latent, H / 8, W / 8)."""
        return Gaussian.stacked(self.code(self.down(image - 0.5)))

    def decode(self, code: Tensor) -> Tensor:
        """The image of a code."""
        return F.pixel_shuffle(self.up(code), self.FACTOR) + 0.5
