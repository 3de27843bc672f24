"""RefVAE: what a reference looks like as a latent code, and a decoder that it shares (Liu et al. 2021).

The code's features f and what the enlarged image is made of meet as in adaptive normalisation:
f * (1 + scale) + shift, scale and shift from the image. Without a reference the image is its own.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from ultrares.nets.feature_networks import RELU4_1, TappedSequence, vgg19
from ultrares.nets.gaussian import Gaussian
from ultrares.nets.octaves import octaves
from ultrares.nets.span import Span
from ultrares.nets.wavelet_residual import silence

SLOPE = 0.2
GRID = 16
"""Side of the grid that the vector latent reads a reference on."""


class VggEncoder(nn.Module):
    """VGG-19 up to relu4_1: 512 channels at an eighth of the resolution; frozen.

    Its weights are another's work: they are loaded before training and kept with the model.
    """

    factor, width = 8, 512

    def __init__(self) -> None:
        super().__init__()
        self.vgg: TappedSequence = vgg19(RELU4_1).requires_grad_(requires_grad=False)

    def forward(self, image: Tensor) -> Tensor:
        """Features of images (B, 3, H, W) in [0, 1], (B, 512, H / 8, W / 8)."""
        features: Tensor = self.vgg(image)[-1]
        return features

    def reads(self, span: Span) -> Span:
        """The pixels that some features depend on."""
        for layer in reversed(self.vgg.features):
            if isinstance(layer, nn.Conv2d):
                span = span.read()
            elif isinstance(layer, nn.MaxPool2d):
                span = span.before_unshuffle()
        return span


class SmallEncoder(nn.Module):
    """Two strided convolutions and two residual blocks: features at a quarter of the resolution."""

    factor = 4

    def __init__(self, bands: int, width: int) -> None:
        super().__init__()
        self.width = width
        self.first = nn.Conv2d(bands, width // 2, 4, stride=2, padding=1)
        self.second = nn.Conv2d(width // 2, width, 4, stride=2, padding=1)
        self.blocks = nn.Sequential(*(Residual(width, width) for _ in range(2)))

    def forward(self, image: Tensor) -> Tensor:
        """Features of images (B, C, H, W) in [0, 1], (B, width, H / 4, W / 4)."""
        hidden = F.leaky_relu(self.first(image - 0.5), SLOPE)
        features: Tensor = self.blocks(self.second(hidden))
        return features

    def reads(self, span: Span) -> Span:
        """The pixels that some features depend on."""
        for _ in range(2 * len(self.blocks)):
            span = span.read()
        return span.read(kernel=4, stride=2, padding=1).read(kernel=4, stride=2, padding=1)


class Residual(nn.Module):
    """Two 3x3 convolutions and a shortcut, which is a 1x1 convolution where the widths differ."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.skip = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)
        silence(self.second)
        nn.init.normal_(self.second.weight, std=1e-3)

    def forward(self, features: Tensor) -> Tensor:
        """Refine ``features`` (B, inputs, h, w)."""
        refined: Tensor = self.skip(features) + self.second(
            F.leaky_relu(self.first(features), SLOPE)
        )
        return refined


class VectorLatent(nn.Module):
    """One code for the whole reference, as in the paper."""

    def __init__(self, width: int, *, latent: int, squeezed: int) -> None:
        super().__init__()
        self.latent, self.squeezed = latent, squeezed
        self.squeeze = nn.Sequential(
            nn.Conv2d(width, squeezed, 1),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(squeezed, squeezed, 3, padding=1),
        )
        self.inward = nn.Linear(squeezed * GRID**2, 2 * latent)
        self.outward = nn.Linear(latent, squeezed * GRID**2)

    def read(self, features: Tensor) -> Gaussian:
        """The code (B, latent) of features (B, width, h, w)."""
        resized = F.interpolate(
            self.squeeze(features), size=(GRID, GRID), mode="bilinear", antialias=True
        )
        return Gaussian.stacked(self.inward(resized.flatten(1)))

    def spread(self, code: Tensor, rows: int, cols: int) -> Tensor:
        """The code's features (B, squeezed, rows, cols)."""
        plane = self.outward(code).view(-1, self.squeezed, GRID, GRID)
        return F.interpolate(plane, size=(rows, cols), mode="bilinear", antialias=True)


class MapLatent(nn.Module):
    """A code for every place of the reference, so that tiles agree."""

    def __init__(self, width: int, *, latent: int, squeezed: int) -> None:
        super().__init__()
        self.latent = latent
        self.inward = nn.Conv2d(width, 2 * latent, 3, padding=1)
        self.outward = nn.Conv2d(latent, squeezed, 3, padding=1)

    def read(self, features: Tensor) -> Gaussian:
        """The code (B, latent, h, w) of features (B, width, h, w)."""
        return Gaussian.stacked(self.inward(features))

    def spread(self, code: Tensor, rows: int, cols: int) -> Tensor:
        """The code's features (B, squeezed, rows, cols), where they are already."""
        assert code.shape[-2:] == (rows, cols)
        features: Tensor = self.outward(code)
        return features


class Decoder(nn.Module):
    """Doubles the resolution by bilinear interpolation and a convolution, until it is the image's."""

    def __init__(self, widths: tuple[int, ...], bands: int) -> None:
        super().__init__()
        self.ups = nn.ModuleList(
            nn.Conv2d(before, after, 3, padding=1) for before, after in pairwise(widths)
        )
        self.last = nn.Conv2d(widths[-1], bands, 3, padding=1)
        silence(self.last)
        nn.init.normal_(self.last.weight, std=1e-3)

    def forward(self, features: Tensor) -> Tensor:
        """Bands at full resolution of ``features`` (B, widths[0], h, w)."""
        for up in self.ups:
            finer = F.interpolate(features, scale_factor=2, mode="bilinear")
            features = F.leaky_relu(up(finer), SLOPE)
        image: Tensor = self.last(features)
        return image

    def reads(self, span: Span) -> Span:
        """The features that some pixels depend on."""
        span = span.read()
        for _ in self.ups:
            span = span.read().before_shuffle().read()
        return span


class RefVAENet(nn.Module):
    """Encoder, latent code and decoder.

    Args:
        encoder: ``vgg19`` as in the paper, or ``small``, trained along.
        latent: ``vector`` as in the paper, or ``map``, which is local.
        bands: Bands of the image; VGG-19 wants three.
        widths: Channels of the decoder, from the encoder's resolution to the image's; the first is that
            of the encoder too, where it is small.
        codes: Components of the latent code, or channels of its map.
        squeezed: Channels that the code is spread to.
        blocks: Residual blocks between the image's features and its scale and shift.
    """

    def __init__(
        self,
        *,
        encoder: Literal["vgg19", "small"],
        latent: Literal["vector", "map"],
        bands: int,
        widths: tuple[int, ...],
        codes: int,
        squeezed: int,
        blocks: int,
    ) -> None:
        super().__init__()
        self.encoder = VggEncoder() if encoder == "vgg19" else SmallEncoder(bands, widths[0])
        assert len(widths) == octaves(self.encoder.factor) + 1, "one width a doubling"
        make = VectorLatent if latent == "vector" else MapLatent
        self.latent: VectorLatent | MapLatent = make(
            self.encoder.width, latent=codes, squeezed=squeezed
        )
        self.style = Residual(squeezed, widths[0])
        self.content = nn.Sequential(
            *(Residual(self.encoder.width, self.encoder.width) for _ in range(blocks))
        )
        self.modulation = nn.Conv2d(self.encoder.width, 2 * widths[0], 3, padding=1)
        self.decoder = Decoder(widths, bands)

    @property
    def multiple_of(self) -> int:
        """What the sides of the enlarged image have to be multiples of."""
        return self.encoder.factor

    @property
    def local(self) -> bool:
        """Whether a pixel depends on its neighbourhood alone."""
        return isinstance(self.latent, MapLatent)

    def reads(self, span: Span) -> Span:
        """The enlarged pixels that some pixels depend on, if it is local."""
        span = self.decoder.reads(span)
        content = span.read(kernel=3 + 4 * len(self.content))
        # Two convolutions of the style and two of the latent maps.
        style = span.read(kernel=9)
        widest = Span(min(content.first, style.first), max(content.last, style.last))
        return self.encoder.reads(widest)

    def code(self, reference: Tensor) -> Gaussian:
        """The latent code of an image (B, C, H, W) in [0, 1], sides multiples of ``multiple_of``."""
        return self.latent.read(self.encoder(reference))

    def forward(self, enlarged: Tensor, code: Tensor) -> Tensor:
        """What an enlarged image (B, C, H, W) in [0, 1] lacks, given a latent code."""
        features = self.encoder(enlarged)
        style = self.style(self.latent.spread(code, *features.shape[-2:]))
        shift, scale = self.modulation(self.content(features)).chunk(2, dim=1)
        lacking: Tensor = self.decoder(style * (1 + scale) + shift)
        return lacking
