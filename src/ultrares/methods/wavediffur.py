"""WaveDiffUR, Algorithm 1: one level of ultra-resolution, solved in the wavelet domain.

The paper's box, in the order of :meth:`WaveDiffUR.solve`:

1. Split the image into A, V, H, D by the Haar transform.
2. Condition: tau = LL(SR_k(image)), from any pre-trained super-resolver SR_k.
3. Low frequency: reverse diffusion of A, projected on tau after each step (Eq. 7 to 9).
4. High frequency: V, H, D ~ N(U, r^2 U U^T + s^2 I) around the bands that SR_k restores (Eq. 11).
5. Merge by the inverse transform.

Where the paper is open we follow docs/decisions/0002-algorithm-1.md: at k = 2, A / 2 has the size of
the image and is almost known, so what diffuses is the residual around the condition; and because
A and V, H, D are restored from the same image, one denoiser samples them together.

arXiv 2412.18996, section 3.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ultrares.diffusion import VP, NoiseField, ddim, projection
from ultrares.errors import ModelError
from ultrares.methods.band_groups import by_groups
from ultrares.methods.band_prior import BandPrior
from ultrares.types import Backbone, Mode, Origin, Window
from ultrares.wavelet import Bands, lowpass, merge, split

Details = Literal["sampled", "backbone", "bands"]
"""Where V, H, D come from: ``sampled`` jointly with A by the denoiser around the backbone's bands;
``backbone`` are the bands of SR_k(image); ``bands`` is Eq. 11 to the letter, SR_k applied to the image's
own V, H, D, which was measured to be worse than zeros and is kept for comparison."""

START_STEP, INPUT_NOISE_STEP, OUTPUT_NOISE_STEP = 2**24, 2**24 + 1, 2**24 + 2
"""Step indices of the noise field for the initial state and Eq. 11's r and s, beyond every solver's."""


@dataclass(frozen=True)
class Solve:
    """How a level is solved.

    Attributes:
        mode: The conditional mean, or a sample.
        steps: Denoiser calls of a sample; None takes the prior's own.
        seed: Seed of the noise field.
        draw: Number of the sample.
        details: Where V, H, D come from; fidelity mode takes ``backbone`` for ``sampled``.
        low_pass: Levels j of the Haar low-pass projector P_j in the low-frequency condition.
        input_noise: Eq. 11's r, the standard deviation of noise on the bands that U restores from.
        output_noise: Eq. 11's s, the standard deviation of noise on the bands that U returns.
    """

    mode: Mode = "fidelity"
    steps: int | None = None
    seed: int = 0
    draw: int = 0
    details: Details = "sampled"
    low_pass: int = 1
    input_noise: float = 0.0
    output_noise: float = 0.0


@dataclass(frozen=True)
class Place:
    """Where a level's image stands, and what took it.

    Attributes:
        origin: Absolute position of its first pixel on the level's input grid.
        level: Number of the level, which its noise is keyed by.
        mtf: Modulation transfer at Nyquist of the sensor that leads from the finer image to this one.
        depth: How many levels made the image, if they made conditional means, which are smoother than
            what a sensor takes; 0 for a sensor's image and for a sample.
    """

    origin: Origin
    level: int
    mtf: float
    depth: int


class WaveDiffUR:
    """Solver of one x2 level around any backbone.

    Args:
        backbone: The pre-trained super-resolver, SR_k with k = 2.
        prior: The denoiser that perceptual mode samples with; None leaves fidelity mode only.
        device: Where their weights are; images are brought there.
    """

    scale = 2

    def __init__(
        self, backbone: Backbone, prior: BandPrior | None = None, *, device: str = "cpu"
    ) -> None:
        self.backbone = backbone
        self.prior = prior
        self.device = device
        self._sde = VP.cosine()

    def solve(
        self, image: Tensor, place: Place, how: Solve, *, condition: Tensor | None = None
    ) -> Tensor:
        """Return the image twice as fine.

        Args:
            image: I_LR, shape (1, C, h, w), in [0, 1].
            place: Where it stands.
            how: How to solve.
            condition: What tau is restored from; ``image`` itself unless a fixed condition is reused.

        Returns:
            I_SR, shape (1, C, 2 * h, 2 * w).
        """
        restored = self.super_resolve(image, place)
        tau = restored if condition is None else self.super_resolve(condition, place)
        base = self._detail_base(image, restored, place, how)
        mean = merge(Bands(split(tau).approx, base.vertical, base.horizontal, base.diagonal))
        if how.mode == "fidelity":
            return mean
        sample = split(self._diffuse(image, mean, place, how))
        if how.details == "sampled":
            return merge(sample)
        return merge(Bands(sample.approx, base.vertical, base.horizontal, base.diagonal))

    def super_resolve(self, image: Tensor, place: Place) -> Tensor:
        """SR_k(image), band group by band group, (1, C, 2 * h, 2 * w)."""
        return by_groups(
            image,
            self.backbone.bands,
            lambda group: self.backbone(group, scale=2, mtf=place.mtf, depth=place.depth),
        )

    def _detail_base(self, image: Tensor, restored: Tensor, place: Place, how: Solve) -> Bands:
        """U of Eq. 11 with its two noises; ``restored`` is SR_k(image)."""
        bands = split(image)
        if how.input_noise:
            noise = self._detail_noise(bands, place, how, step=INPUT_NOISE_STEP, stride=2)
            bands = Bands(bands.approx, *_plus(bands[1:], noise, how.input_noise))
            if how.details != "bands":
                restored = self.super_resolve(merge(bands, _size(image)), place)
        if how.details == "bands":
            # The backbone expects [0, 1], and bands are centred on zero.
            rows, cols = _size(image)
            raised = [self.super_resolve(band + 0.5, place) - 0.5 for band in bands[1:]]
            base = Bands(split(restored).approx, *(band[..., :rows, :cols] for band in raised))
        else:
            base = split(restored)
        if how.output_noise:
            noise = self._detail_noise(base, place, how, step=OUTPUT_NOISE_STEP, stride=1)
            base = Bands(base.approx, *_plus(base[1:], noise, how.output_noise))
        return base

    @staticmethod
    def _detail_noise(bands: Bands, place: Place, how: Solve, *, step: int, stride: int) -> Tensor:
        """Noise for V, H, D, (1, 3 * C, h, w); their pixels are ``stride`` image pixels wide."""
        count, rows, cols = bands.approx.shape[1:]
        window = Window(place.origin.row // stride, place.origin.col // stride, rows, cols)
        field = NoiseField(how.seed).field(
            window, draw=how.draw, level=place.level, step=step, bands=3 * count
        )
        return field[None].to(bands.approx)

    def _diffuse(self, image: Tensor, mean: Tensor, place: Place, how: Solve) -> Tensor:
        """Sample all bands by projected reverse diffusion of their residual around ``mean``."""
        if self.prior is None:
            raise ModelError(
                f"backbone {self.backbone.name!r} has no denoiser, so it cannot draw samples; "
                "use --mode fidelity, or a model with a denoiser (see `ultrares models`)"
            )
        bands = image.shape[1]
        window = Window(*place.origin, *image.shape[-2:])
        noise = NoiseField(how.seed).source(
            window, draw=how.draw, level=place.level, bands=4 * bands, place=lambda f: f.to(image)
        )

        def low_pass_of_approx(state: Tensor) -> Tensor:
            known = torch.zeros_like(state)
            known[:, :bands] = lowpass(state[:, :bands], how.low_pass)
            return known

        # The condition tau is the mean itself, so its residual is zero (Eq. 9 with b_t from zero).
        project = projection(torch.zeros_like(noise(0)), low_pass_of_approx, self._sde, noise)
        residual = ddim(
            self.prior.denoise(image, mean, self._sde, mtf=place.mtf, depth=place.depth),
            self._sde.prior(noise(START_STEP)),
            self.prior.times(self._sde, how.steps or self.prior.steps),
            self._sde,
            noise,
            eta=self.prior.eta,
            project=project,
        )
        return self.prior.bands.decode(residual, mean)


def _plus(bands: tuple[Tensor, ...], noise: Tensor, std: float) -> list[Tensor]:
    return [band + std * part for band, part in zip(bands, noise.chunk(3, dim=1), strict=True)]


def _size(image: Tensor) -> tuple[int, int]:
    rows, cols = image.shape[-2:]
    return rows, cols
