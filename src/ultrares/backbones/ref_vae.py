"""RefVAE: a reference as a latent code that a decoder is modulated with (Liu et al., NTIRE 2021).

The encoder of the enlarged image and of the reference is VGG-19 up to relu4_1, frozen; the code has 256
components for the whole reference. Without a reference the image itself is taken for one. The code is its
mean, and drawn only if the settings say so.

The small preset has an encoder of its own and a code for every place, so that tiles agree.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from torch import Tensor, nn

from ultrares.backbones.direct import DirectBackbone
from ultrares.backbones.enlargement import ENLARGEMENT_REACH, enlarge
from ultrares.backbones.fit import refuse_misfit
from ultrares.backbones.noise import fixed_noise
from ultrares.backbones.octave_settings import OctaveSettings
from ultrares.backbones.system import System, both_presets
from ultrares.errors import ReferenceImageError
from ultrares.nets.gaussian import Gaussian
from ultrares.nets.ref_vae import RefVAENet
from ultrares.nets.span import Span
from ultrares.types import NoiseAt

Count = Annotated[int, Field(ge=1)]

FACTORS = {"vgg19": 8, "small": 4}
"""How much coarser than the image an encoder's features are."""


class RefVAESettings(OctaveSettings):
    """Size of the network and whether it draws; the defaults are the paper's."""

    scales: tuple[int, ...] = (4,)
    encoder: Literal["vgg19", "small"] = "vgg19"
    """VGG-19, frozen, or a small encoder that is trained along."""
    latent: Literal["vector", "map"] = "vector"
    """One code for a whole reference, or one for every place."""
    widths: Annotated[tuple[Count, ...], Field(min_length=2)] = (512, 256, 128, 64)
    """Channels of the decoder at each resolution, the coarsest first."""
    codes: Count = 256
    """Components of the latent code."""
    squeezed: Count = 64
    """Channels that the code is spread to."""
    blocks: Count = 3
    """Residual blocks that look at the image."""
    sampled: bool = False
    """Whether the code is drawn, or its mean is taken."""

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        doublings = FACTORS[self.encoder].bit_length() - 1
        if len(self.widths) != doublings + 1:
            raise ValueError(
                f"widths must list {doublings + 1} numbers for encoder {self.encoder!r}"
            )
        if self.encoder == "vgg19" and self.bands != 3:
            raise ValueError(f"bands is {self.bands}, but VGG-19 takes 3")
        return self


PAPER = RefVAESettings()
SMALL = RefVAESettings(
    scales=(2, 4),
    encoder="small",
    latent="map",
    widths=(96, 64, 32),
    codes=16,
    squeezed=32,
    blocks=2,
)


def build(settings: RefVAESettings) -> RefVAENet:
    """The network, with fresh weights, also where another's belong."""
    return RefVAENet(
        encoder=settings.encoder,
        latent=settings.latent,
        bands=settings.bands,
        widths=settings.widths,
        codes=settings.codes,
        squeezed=settings.squeezed,
        blocks=settings.blocks,
    )


class RefVAEBackbone(DirectBackbone):
    """Codes the reference, decodes it with the enlarged image."""

    def __init__(
        self, net: nn.Module, settings: RefVAESettings, *, name: str, autocast: bool = False
    ) -> None:
        super().__init__(net, settings, name=name, autocast=autocast)
        self.block = FACTORS[settings.encoder]
        self.codes = settings.codes
        self.sampled = settings.sampled

    @property
    def stochastic(self) -> bool:
        """Whether the code is drawn."""
        return self.sampled

    @property
    def halo(self) -> int | None:
        """Pixels of context; None where one code stands for the whole image."""
        if not self.net.local:
            return None
        beyond = self.net.reads(Span(0, self.block - 1)).beyond(self.block)
        return -(-beyond // min(self.scales)) + ENLARGEMENT_REACH

    def restore(self, image: Tensor, scale: int, noise: NoiseAt) -> Tensor:
        """The image with itself as the reference."""
        enlarged = enlarge(image, scale)
        code = self.code(enlarged)
        return self.decode(enlarged, self.drawn(code, scale, noise) if self.sampled else code.mean)

    def with_reference(
        self, image: Tensor, reference: Tensor, *, scale: int, noise: NoiseAt | None = None
    ) -> Tensor:
        """Return ``image`` (B, C, h, w) ``scale`` times finer, in the likeness of a reference.

        Args:
            image: In [0, 1].
            reference: In [0, 1], (B, C, scale * h, scale * w); where the code is for a whole image, of any
                size whose sides are multiples of 8.
            scale: One of the backbone's.
            noise: What the code is drawn from, if it is drawn.

        Raises:
            ModelError: The system was not trained for this scale, or the sides are not its multiples.
            ReferenceImageError: The reference is of another size than it has to be.
        """
        refuse_misfit(self, image, scale)
        enlarged = enlarge(image, scale)
        odd = any(side % self.block for side in reference.shape[-2:])
        if odd or (self.net.local and reference.shape[-2:] != enlarged.shape[-2:]):
            height, width = reference.shape[-2:]
            raise ReferenceImageError(
                f"backbone {self.name!r} cannot use a reference of {height} x {width} pixels: pass one of "
                f"{enlarged.shape[-2]} x {enlarged.shape[-1]}, the size of the result"
            )
        code = self.code(reference)
        if not self.sampled:
            return self.decode(enlarged, code.mean)
        return self.decode(enlarged, self.drawn(code, scale, noise or fixed_noise(image)))

    def code(self, reference: Tensor) -> Gaussian:
        """The latent code of an image (B, C, H, W) in [0, 1]."""
        with self.convolving(reference):
            code: Gaussian = self.net.code(reference)
        return Gaussian(code.mean.to(reference.dtype), code.log_variance.to(reference.dtype))

    def decode(self, enlarged: Tensor, code: Tensor) -> Tensor:
        """The finer image of an enlarged one and a value of the code."""
        with self.convolving(enlarged):
            lacking: Tensor = self.net(enlarged, code)
        return enlarged + lacking.to(enlarged.dtype)

    def drawn(self, code: Gaussian, scale: int, noise: NoiseAt) -> Tensor:
        """A value of the code that belongs to the place."""
        factor = max(scale // self.block, 1)
        normal = noise(0, self.codes, factor)
        if code.mean.ndim == 2:
            return code.at(normal[..., 0, 0])
        # Where the code is coarser than the image, every so many-th number is its own.
        every = max(self.block // scale, 1)
        return code.at(normal[..., ::every, ::every])


def backbone(
    net: nn.Module, settings: RefVAESettings, *, name: str = "ref-vae", autocast: bool = False
) -> RefVAEBackbone:
    """RefVAE behind the contract of all backbones."""
    return RefVAEBackbone(net, settings, name=name, autocast=autocast)


SYSTEM = System(
    kind="ref-vae",
    title="RefVAE",
    paper="Liu et al. 2021, Variational AutoEncoder for reference based image super-resolution",
    settings=RefVAESettings,
    presets=both_presets(PAPER, SMALL),
    build=build,
    backbone=backbone,
)
