"""The discriminator of SRGAN and ESRGAN: a VGG-like pyramid that says how real an image looks."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class Discriminator(nn.Module):
    """Pairs of convolutions, the second of each halving the image, then two dense layers (Ledig et al. 2017).

    The paper's stands on images of 128 x 128; here the last map is pooled to 4 x 4, which there is the
    identity, so that crops of any size serve.

    Args:
        bands: Bands of the image.
        width: Channels of the first pair; they double up to eight times as many.
        stages: Number of pairs.
    """

    POOLED = 4

    def __init__(self, *, bands: int = 3, width: int = 64, stages: int = 5) -> None:
        super().__init__()
        widths = [min(2**stage, 8) * width for stage in range(stages)]
        inputs = [bands, *widths[:-1]]
        self.stages = nn.ModuleList(
            self._stage(before, after, first=index == 0)
            for index, (before, after) in enumerate(zip(inputs, widths, strict=True))
        )
        self.hidden = nn.Linear(widths[-1] * self.POOLED**2, 100)
        self.verdict = nn.Linear(100, 1)

    @staticmethod
    def _stage(inputs: int, width: int, *, first: bool) -> nn.Sequential:
        norms = [nn.Identity() if first else nn.BatchNorm2d(width), nn.BatchNorm2d(width)]
        return nn.Sequential(
            # A bias before a normalisation has no effect.
            nn.Conv2d(inputs, width, 3, padding=1, bias=first),
            norms[0],
            nn.LeakyReLU(0.2),
            nn.Conv2d(width, width, 4, stride=2, padding=1, bias=False),
            norms[1],
            nn.LeakyReLU(0.2),
        )

    def features(self, image: Tensor) -> list[Tensor]:
        """What each stage makes of an image (B, C, H, W) in [0, 1]."""
        features, answers = 2 * image - 1, []
        for stage in self.stages:
            features = stage(features)
            answers.append(features)
        return answers

    def judge(self, features: Tensor) -> Tensor:
        """The verdict on the last stage's features, (B, 1)."""
        pooled = F.adaptive_avg_pool2d(features, self.POOLED).flatten(1)
        verdict: Tensor = self.verdict(F.leaky_relu(self.hidden(pooled), 0.2))
        return verdict

    def forward(self, image: Tensor) -> Tensor:
        """How real images (B, C, H, W) in [0, 1] look, a number without bounds each, (B, 1)."""
        return self.judge(self.features(image)[-1])
