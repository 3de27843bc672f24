"""The discriminator of SRGAN and ESRGAN: a VGG-like pyramid that says how real an image looks."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm


class Discriminator(nn.Module):
    """Pairs of convolutions, the second of each halving the image, then two dense layers (Ledig et al. 2017).

    The paper's stands on images of 128 x 128; here the last map is pooled to 4 x 4, which there is the
    identity, so that crops of any size serve.

    Args:
        bands: Bands of the image.
        width: Channels of the first pair; they double up to eight times as many.
        stages: Number of pairs.
        spectral: Whether every layer is held to a largest singular value of 1 (Miyato et al., arXiv
            1802.05957), instead of batch normalisation, which is the paper's. Verdicts of a network that
            starts along with its generator were seen to grow without bound with the latter.
    """

    POOLED = 4

    def __init__(
        self, *, bands: int = 3, width: int = 64, stages: int = 5, spectral: bool = False
    ) -> None:
        super().__init__()
        widths = [min(2**stage, 8) * width for stage in range(stages)]
        make = _held if spectral else _normalised
        self.stages = nn.ModuleList()
        for index, (before, after) in enumerate(pairwise([bands, *widths])):
            first = nn.Conv2d(before, after, 3, padding=1)
            layers = make(first) if spectral or index else [first]
            layers += [nn.LeakyReLU(0.2), *make(nn.Conv2d(after, after, 4, stride=2, padding=1))]
            self.stages.append(nn.Sequential(*layers, nn.LeakyReLU(0.2)))
        self.hidden: nn.Module = nn.Linear(widths[-1] * self.POOLED**2, 100)
        self.verdict: nn.Module = nn.Linear(100, 1)
        if spectral:
            self.hidden, self.verdict = spectral_norm(self.hidden), spectral_norm(self.verdict)

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


def _normalised(convolution: nn.Conv2d) -> list[nn.Module]:
    # A bias before a normalisation has no effect, so Adam would only blow up its rounding.
    convolution.register_parameter("bias", None)
    return [convolution, nn.BatchNorm2d(convolution.out_channels)]


def _held(convolution: nn.Conv2d) -> list[nn.Module]:
    held: nn.Module = spectral_norm(convolution)
    return [held]
