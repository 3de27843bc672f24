"""The trained parts of Algorithm 2, bound to images: conditions from a reference, and the module M."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from ultrares.methods.residual_bands import DETAIL_GAIN, guide_of, scaled_bands, unscaled_difference
from ultrares.nets.cross_scale_pyramid import CrossScalePyramid
from ultrares.nets.high_frequency import HighFrequency
from ultrares.nets.spatiotemporal_fusion import SpatiotemporalFusion
from ultrares.nets.wavelet_residual import context_vector
from ultrares.types import AlignedReference
from ultrares.wavelet import Bands, split


@dataclass(frozen=True)
class CrossScale:
    """T_theta and M of Algorithm 2.

    Attributes:
        pyramid: The encoder of the cross-scale pyramid conditions; None for none (Table 5's Model-2).
        details: The high-frequency restoration; None for none (Table 5's Model-1).
        autocast: Whether to compute in bfloat16.
        fusion: What brings a reference to the scene's date before the pyramid sees it; None for nothing.
        fused: Ratios of resolution between scene and reference that it was trained at.
    """

    pyramid: CrossScalePyramid | None
    details: HighFrequency | None
    autocast: bool = False
    fusion: SpatiotemporalFusion | None = None
    fused: frozenset[int] = frozenset()

    @property
    def halo(self) -> int:
        """Input pixels of context beyond the backbone's."""
        return sum(net.halo for net in (self.pyramid, self.details) if net is not None)

    @property
    def multiple_of(self) -> int:
        """What sides and origins of the level's input must be multiples of."""
        return math.lcm(2, *(net.multiple_of for net in (self.pyramid, self.details) if net))

    @property
    def bands(self) -> int | None:
        """Bands that the networks take together; None without networks."""
        return next((net.bands for net in (self.pyramid, self.details) if net is not None), None)

    def conditions(
        self,
        image: Tensor,
        restored: Tensor,
        reference: AlignedReference | None,
        *,
        mtf: float,
        depth: int,
    ) -> Bands:
        """tau_lf, tau_V, tau_H, tau_D as corrections of the restored bands (Eq. 12, 14 to 16).

        Args:
            image: The level's input, (B, C, h, w), in [0, 1].
            restored: SR_k(image), (B, C, 2 * h, 2 * w).
            reference: The reference on the grid of ``restored``; None gives zeros.
            mtf: Modulation transfer at Nyquist of the sensor.
            depth: How many levels of conditional means made ``image``.
        """
        if reference is None or self.pyramid is None:
            bands = split(restored)
            return Bands(*(torch.zeros_like(band) for band in bands))
        guide = guide_of(image, restored)
        context = context_vector(1, mtf=mtf, depth=depth).to(image)
        # A band's pixel can be believed where all four pixels that it sums can.
        valid = 1 - F.max_pool2d(1 - reference.valid, 2)
        with torch.autocast(image.device.type, torch.bfloat16, enabled=self.autocast):
            told = self.pyramid(guide, scaled_bands(reference.image), valid, context)
        return unscaled_difference(told.float())

    def restored_details(
        self,
        image: Tensor,
        restored: Tensor,
        conditions: Bands,
        known: Bands,
        *,
        mtf: float,
        depth: int,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """M(VHD_LR, tau_hf): the detail bands V, H, D of the finer image (Eq. 17).

        Args:
            image: The level's input, (B, C, h, w), in [0, 1].
            restored: SR_k(image), whose bands are the base that M corrects.
            conditions: What :meth:`conditions` returned.
            known: The bands of ``image``.
            mtf: Modulation transfer at Nyquist of the sensor.
            depth: How many levels of conditional means made ``image``.
        """
        base = split(restored)
        guided = [band + tau for band, tau in zip(base[1:], conditions[1:], strict=True)]
        if self.details is not None:
            context = context_vector(1, mtf=mtf, depth=depth).to(image)
            tau = DETAIL_GAIN * torch.cat(conditions[1:], dim=1)
            details = DETAIL_GAIN * torch.cat(known[1:], dim=1)
            with torch.autocast(image.device.type, torch.bfloat16, enabled=self.autocast):
                lacking = self.details(guide_of(image, restored), tau, details, context)
            missing = (lacking.float() / DETAIL_GAIN).chunk(3, dim=1)
            guided = [band + residual for band, residual in zip(guided, missing, strict=True)]
        vertical, horizontal, diagonal = guided
        return vertical, horizontal, diagonal
