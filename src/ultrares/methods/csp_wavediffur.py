"""CSP-WaveDiffUR, Algorithm 2: a level whose conditions are rebuilt from the image and a reference.

The paper's box, in the order of :meth:`CSPWaveDiffUR.mean` and ``solve``:

1. Split the image into A, V, H, D by the Haar transform.
2. Low-frequency condition: tau_lf = T_theta(I_ref, I_LR) (Eq. 12).
3. High-frequency conditions: tau_V, tau_H, tau_D = T_theta(VHD_ref, VHD_LR) (Eq. 14 to 16).
4. High frequency: V, H, D ~ N(M, r^2 M M^T + s^2 I), M = M(VHD_LR, tau_hf) (Eq. 17).
5. Low frequency: reverse diffusion of A, projected on tau_lf after each step (Eq. 7 to 9, 13).
6. Merge by the inverse transform; the cascade makes the result the next level's image, and the
   conditions are rebuilt there.

Without a reference all conditions vanish and what remains is Algorithm 1 with M as its U. As in
Algorithm 1, what diffuses is the residual around the conditional mean, all bands together.

arXiv 2412.18996, section 3.2; docs/decisions/0005-algorithm-2.md.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal

from torch import Tensor

from ultrares.methods.band_groups import by_band_groups, group_count
from ultrares.methods.band_prior import BandPrior
from ultrares.methods.cross_scale import CrossScale
from ultrares.methods.place import Place, Solve
from ultrares.methods.reference_fusion import ReferenceFusion
from ultrares.methods.sampling import INPUT_NOISE_STEP, OUTPUT_NOISE_STEP, noisy_details
from ultrares.methods.wavediffur import WaveDiffUR
from ultrares.sensor.models import SensorModel
from ultrares.types import AlignedReference, Backbone, Fusion
from ultrares.wavelet import Bands, merge, split

Part = Literal["baseline", "model-1", "model-2", "proposed"]
"""Table 5: Algorithm 1, with conditions only, with high-frequency restoration only, with both."""


class CSPWaveDiffUR(WaveDiffUR):
    """Solver of one x2 level that learns from a reference image.

    Args:
        backbone: The pre-trained super-resolver, SR_k with k = 2.
        parts: The pyramid T_theta and the restoration M.
        prior: The denoiser that perceptual mode samples with; None leaves fidelity mode only.
        device: Where their weights are; images are brought there.
    """

    def __init__(
        self,
        backbone: Backbone,
        parts: CrossScale,
        prior: BandPrior | None = None,
        *,
        device: str = "cpu",
    ) -> None:
        super().__init__(backbone, prior, device=device)
        self.parts = self.available = parts
        self.uses_reference = parts.pyramid is not None
        self.multiple_of = math.lcm(self.multiple_of, parts.multiple_of)

    @property
    def halo(self) -> int:
        """Input pixels of context that the conditional mean depends on."""
        return super().halo + self.parts.halo

    def fusion(self, sensor: SensorModel) -> Fusion | None:
        """What brings a reference to the date of scenes that a sensor took, before the conditions are made of it."""
        parts = self.parts
        if parts.fusion is None or parts.pyramid is None:
            return None
        return ReferenceFusion(parts.fusion, sensor, parts.fused, parts.autocast, self.device)

    def unguided(self) -> CSPWaveDiffUR:
        """The same solver for where no reference is, which needs less context and no windows."""
        if self.parts.pyramid is None:
            return self
        return self.with_parts("baseline" if self.parts.details is None else "model-2")

    def with_parts(self, part: Part) -> CSPWaveDiffUR:
        """The same solver with only some of the available parts, for the ablation of Table 5."""
        pyramid = self.available.pyramid if part in ("model-1", "proposed") else None
        details = self.available.details if part in ("model-2", "proposed") else None
        return self._switched(replace(self.available, pyramid=pyramid, details=details))

    def without_fusion(self) -> CSPWaveDiffUR:
        """The same solver, whose conditions are made of references as they were taken."""
        switched = self._switched(replace(self.parts, fusion=None))
        switched.available = replace(self.available, fusion=None)
        return switched

    def _switched(self, parts: CrossScale) -> CSPWaveDiffUR:
        switched = CSPWaveDiffUR(self.backbone, parts, self.prior, device=self.device)
        switched.available = self.available
        return switched

    def mean(
        self,
        image: Tensor,
        place: Place,
        how: Solve,
        *,
        reference: AlignedReference | None = None,
        condition: Tensor | None = None,
    ) -> Tensor:
        """The conditional mean: A from tau_lf, V, H, D from M, band group by band group, the first as guide."""
        if how.input_noise:
            image = noisy_details(
                image, how.input_noise, place, how, step=INPUT_NOISE_STEP, stride=2
            )
        # A backbone may take any number of bands; the networks were made for some.
        size = self.backbone.bands or self.parts.bands
        count = group_count(image.shape[1], size)
        told = [each for each in (condition, reference and reference.image) if each is not None]
        stacks = [each.expand(len(image), -1, -1, -1) for each in (image, *told)]

        def of_group(groups: list[Tensor]) -> Tensor:
            given = iter(groups)
            seen = next(given)
            source = seen if condition is None else next(given)
            aligned = None
            if reference is not None:
                valid = reference.valid.repeat_interleave(len(seen) // len(reference.valid), dim=0)
                aligned = AlignedReference(next(given), valid)
            return self._mean_of_group(seen, source, aligned, place, how, count)

        grouped = by_band_groups(stacks, image.shape[1], size, of_group)
        learnt = reference if self.parts.pyramid is not None else None
        mean = self.guide(image, grouped, None if learnt is None else learnt.valid)
        if how.output_noise:
            mean = noisy_details(
                mean, how.output_noise, place, how, step=OUTPUT_NOISE_STEP, stride=1
            )
        return mean

    def _mean_of_group(
        self,
        image: Tensor,
        source: Tensor,
        reference: AlignedReference | None,
        place: Place,
        how: Solve,
        groups: int,
    ) -> Tensor:
        """The box's steps on bands that the networks take together.

        Args:
            image: I_LR, (B, C, h, w).
            source: What the conditions are made from: ``image``, or a fixed one that is reused.
            reference: I_ref on the grid of the result.
            place: Where it stands.
            how: How to solve.
            groups: Band groups of an image.
        """
        known = split(image)
        restored = self.restore(image, place, how, groups)
        base = restored if source is image else self.restore(source, place, how, groups)
        tau = self.parts.conditions(source, base, reference, mtf=place.mtf, depth=place.depth)
        vertical, horizontal, diagonal = self.parts.restored_details(
            image, restored, tau, known, mtf=place.mtf, depth=place.depth
        )
        return merge(Bands(split(base).approx + tau.approx, vertical, horizontal, diagonal))
