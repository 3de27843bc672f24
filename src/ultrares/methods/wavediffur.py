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

import math
from dataclasses import replace

import torch
from torch import Tensor

from ultrares.backbones.noise import noise_at
from ultrares.backbones.wavelet_residual import WaveletResidualBackbone
from ultrares.backbones.wrap import Backbone as Wrapped
from ultrares.diffusion import VP
from ultrares.errors import ModelError
from ultrares.methods.band_groups import by_groups, group_count
from ultrares.methods.band_prior import BandPrior
from ultrares.methods.fitting import fitted
from ultrares.methods.guided_bands import REACH, guided
from ultrares.methods.place import Place, Solve
from ultrares.methods.sampling import (
    INPUT_NOISE_STEP,
    OUTPUT_NOISE_STEP,
    diffuse,
    noisy_details,
)
from ultrares.sensor.models import SensorModel
from ultrares.types import AlignedReference, Backbone, Fusion, Origin
from ultrares.wavelet import Bands, merge, split

MEAN_HALO, RESIDUAL_HALO = 32, 16
"""Context for our own networks of the mean, and for the wavelet residual network alone. Their receptive fields
add up to more, but beyond these distances the influence was measured to vanish in rounding (benchmarks/seams.py)."""
WHOLE_IMAGE_HALO = 32
"""Context for a backbone whose result depends on the whole image: more would not make cells agree."""


class WaveDiffUR:
    """Solver of one level around any backbone.

    Args:
        backbone: The pre-trained super-resolver, SR_k.
        prior: The denoiser that perceptual mode samples with; None leaves fidelity mode only.
        device: Where their weights are; images are brought there.
        scale: k, one of the backbone's scales; denoisers are trained for 2.
    """

    uses_reference = False

    def __init__(
        self,
        backbone: Backbone,
        prior: BandPrior | None = None,
        *,
        device: str = "cpu",
        scale: int = 2,
    ) -> None:
        assert prior is None or scale == 2, "denoisers are trained for k = 2"
        self.scale = scale
        self.backbone = backbone
        self.prior = prior
        self.device = device
        self.sde = VP.cosine()
        # Two for the wavelet transform.
        self.multiple_of = math.lcm(2, backbone.size_rule.multiple_of)

    @property
    def halo(self) -> int:
        """Input pixels of context that the conditional mean depends on, or is given at most."""
        return WHOLE_IMAGE_HALO if self.backbone.halo is None else self.backbone.halo

    @property
    def draws(self) -> bool:
        """Whether there is anything to draw samples with: a denoiser, or a backbone that draws."""
        return self.prior is not None or self.backbone.stochastic

    @property
    def context(self) -> int:
        """Input pixels of context that a level gives it: what a foreign backbone asks for, else at most 32.

        What guides bands looks at the input beside the network, not before it, so the larger reach counts.
        """
        guides = 0 if self._trained_bands is None else REACH
        if isinstance(self.backbone, Wrapped):
            return max(self.backbone.halo, min(self.halo, MEAN_HALO), guides)
        alone = self.halo == self.backbone.halo and isinstance(
            self.backbone, WaveletResidualBackbone
        )
        return max(min(self.halo, RESIDUAL_HALO if alone else MEAN_HALO), guides)

    @property
    def _trained_bands(self) -> int | None:
        """How many bands guide those beyond them; None for a backbone of any number, or one that draws.

        Half of one draw and half of another would be smoother than either.
        """
        return None if self.backbone.stochastic else self.backbone.bands

    def guide(self, image: Tensor, fine: Tensor, told: Tensor | None = None) -> Tensor:
        """Bring the detail of the bands the backbone was trained on into those beyond them.

        Args:
            image: The level's input, (B, C, h, w), in [0, 1].
            fine: What was made of it, (B, C, k * h, k * w); returned as it is without bands beyond.
            told: How far a reference is believed, (B or 1, 1, k * h, k * w): there it knows better.
        """
        trained = self._trained_bands
        return fine if trained is None else guided(image, fine, trained, told)

    def fusion(self, sensor: SensorModel) -> Fusion | None:  # noqa: ARG002
        """What brings a reference to the date of scenes that a sensor took: nothing."""
        return None

    def unguided(self) -> WaveDiffUR:
        """The same solver for where no reference is: this one."""
        return self

    def solve(
        self,
        image: Tensor,
        place: Place,
        how: Solve,
        *,
        reference: AlignedReference | None = None,
        condition: Tensor | None = None,
    ) -> Tensor:
        """Return the image ``scale`` times finer.

        A backbone that draws is the sampler itself where there is no denoiser; in fidelity mode it
        makes one draw.

        Args:
            image: I_LR, shape (1, C, h, w), or (N, C, h, w) for N draws, in [0, 1].
            place: Where it stands.
            how: How to solve.
            reference: Not looked at; Algorithm 2 does.
            condition: What tau is restored from; ``image`` itself unless a fixed condition is reused.

        Returns:
            I_SR, (1, C, k * h, k * w) in fidelity mode, else one sample per draw.
        """
        if how.mode == "perceptual" and self.prior is None and self.backbone.stochastic:
            image = image.expand(how.draws, -1, -1, -1)
            return self.mean(image, place, how, reference=reference, condition=condition)
        if how.mode == "fidelity":
            return self.mean(image, place, how, reference=reference, condition=condition)
        if self.prior is None:
            raise ModelError(
                f"backbone {self.backbone.name!r} has no denoiser, so it cannot draw samples; "
                "use --mode fidelity, or a model with a denoiser (see `ultrares models`)"
            )
        mean = self.means(image, place, how, reference=reference, condition=condition)
        return self.sample(image, mean, place, how)

    def means(
        self,
        image: Tensor,
        place: Place,
        how: Solve,
        *,
        reference: AlignedReference | None = None,
        condition: Tensor | None = None,
    ) -> Tensor:
        """The conditional means of draws, one after the other: side by side they take memory and no less time."""
        if how.input_noise or how.output_noise:
            return self.mean(image, place, how, reference=reference, condition=condition)
        one = replace(how, draws=1)
        found = [
            self.mean(draw, place, one, reference=reference, condition=condition)
            for draw in torch.split(image, 1)
        ]
        return torch.cat(found)

    def sample(self, image: Tensor, mean: Tensor, place: Place, how: Solve) -> Tensor:
        """Samples around a conditional mean.

        Args:
            image: I_LR, (1, C, h, w) or (N, C, h, w) for N draws, in [0, 1].
            mean: The conditional mean, of one or as many images, (., C, k * h, k * w).
            place: Where they stand, and where samples are wanted.
            how: How to sample.

        Returns:
            One sample per draw, (N, C, k * h, k * w).
        """
        assert self.prior is not None, "no denoiser, no samples"
        sample = diffuse(self.prior, self.sde, image, mean, place, how)
        if how.details == "sampled":
            return sample
        base = split(mean)
        details = (band.expand(how.draws, -1, -1, -1) for band in base[1:])
        return merge(Bands(split(sample).approx, *details))

    def mean(
        self,
        image: Tensor,
        place: Place,
        how: Solve,
        *,
        reference: AlignedReference | None = None,  # noqa: ARG002
        condition: Tensor | None = None,
    ) -> Tensor:
        """The conditional mean: A from the condition, V, H, D from the super-resolver."""
        restored = self.super_resolve(image, place, how)
        tau = restored if condition is None else self.super_resolve(condition, place, how)
        if how.input_noise:
            noisy = noisy_details(
                image, how.input_noise, place, how, step=INPUT_NOISE_STEP, stride=2
            )
            image, restored = noisy, self.super_resolve(noisy, place, how)
        base = (
            self._enlarged_bands(image, place, how) if how.details == "bands" else split(restored)
        )
        mean = merge(Bands(split(tau).approx.expand_as(base.diagonal), *base[1:]))
        if how.output_noise:
            mean = noisy_details(
                mean, how.output_noise, place, how, step=OUTPUT_NOISE_STEP, stride=1
            )
        return mean

    def super_resolve(self, image: Tensor, place: Place, how: Solve) -> Tensor:
        """SR_k(image), band group by band group, the first one guiding the others, (B, C, k * h, k * w)."""
        groups = group_count(image.shape[1], self.backbone.bands)
        fine = by_groups(
            image, self.backbone.bands, lambda group: self.restore(group, place, how, groups)
        )
        return self.guide(image, fine)

    def restore(self, group: Tensor, place: Place, how: Solve, groups: int) -> Tensor:
        """SR_k of as many bands as the backbone takes, whatever sides it accepts.

        Args:
            group: Shape (B * groups, bands, h, w), the groups of B draws; each has noise of its own.
            place: Where it stands.
            how: Seed of what a stochastic backbone draws from.
            groups: Band groups of an image.
        """

        def call(fit: Tensor) -> Tensor:
            noise = noise_at(
                fit, seed=how.seed, origin=place.origin, level=place.level, groups=groups
            )
            return self.backbone(
                fit, scale=self.scale, mtf=place.mtf, depth=place.depth, noise=noise
            )

        return fitted(group, self.backbone.size_rule, self.scale, call)

    def _enlarged_bands(self, image: Tensor, place: Place, how: Solve) -> Bands:
        """Eq. 11 to the letter: SR_k applied to the image's own detail bands."""
        bands = split(image)
        rows, cols = (side * self.scale // 2 for side in image.shape[-2:])
        # The backbone expects [0, 1], and bands are centred on zero.
        halved = replace(place, origin=Origin(place.origin.row // 2, place.origin.col // 2))
        raised = [self.super_resolve(band + 0.5, halved, how) - 0.5 for band in bands[1:]]
        approx = raised[0].new_zeros(())
        return Bands(approx, *(band[..., :rows, :cols] for band in raised))
