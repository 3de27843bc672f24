"""Spatiotemporal fusion bound to images: a reference on the date of the scene, before a level sees it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from ultrares.methods.band_groups import by_band_groups
from ultrares.nets.spatiotemporal_fusion import SpatiotemporalFusion
from ultrares.sensor.models import SensorModel
from ultrares.types import AlignedReference, Shape, Window

RADIUS, DETAIL_RADIUS = 7, 2
"""Scene pixels from the middle of a window to its side: where details are compared, and whose mean is no detail."""

UNLIKE, LIKE = 0.45, 0.65
"""Correlations of details of scene and reference between which a fused pixel is believed more and more. Over 16 x 16
pixels, sixteen times coarser, nine in ten of 92 places in a town had .68 or more with another year, all had .25 or less with
another place, and eight of a forest whose details another year does not tell had .27 to .57."""

MOST = 0.7
"""Largest weight of a fused pixel against the reference's own. The pyramid makes of both together as good a mean as of the
fused one alone, and not as smooth a one: on eleven places that a network was not shown 0.02 dB less, at an LPIPS of .43 for .48."""

FLAT = 1e-6
"""Variance that says nothing, that of rounding to 8 bits."""

NET_HALO = 160
"""Pixels around what is fused that the network is shown. Its receptive field is 200, but beyond these the influence of the
trained one was measured to be some thousandths of a digital number at most (benchmarks/seams.py)."""

CORE = 768
"""Most pixels along the side of what is fused at once: large against its halo, small against the memory."""


@dataclass(frozen=True)
class ReferenceFusion:
    """The network on its device, for scenes that a sensor took.

    Attributes:
        net: The network.
        sensor: The degradation that leads to the scene's pixels.
        ratios: Pixels of the reference per pixel of the scene, along one side, that it was trained at.
        autocast: Whether to compute in bfloat16.
        device: Where its weights are; images are brought there.
    """

    net: SpatiotemporalFusion
    sensor: SensorModel
    ratios: frozenset[int] = frozenset()
    autocast: bool = False
    device: str = "cpu"

    def core(self, factor: int) -> int:
        """Side of the square of pixels that is fused at once, whole pixels of the scene."""
        multiple = math.lcm(factor, self.net.multiple_of)
        return max(CORE // multiple, 1) * multiple

    def halo(self, factor: int) -> int:
        """Pixels of context around it, whole pixels of the scene."""
        # Enlarging looks at two pixels of the scene on either side, where the reference has gaps once more before it
        # is reduced, which looks as far as the sensor; and likeness is interpolated.
        around = 2 + self.sensor.reach + 2
        needed = max(NET_HALO + around * factor, (RADIUS + DETAIL_RADIUS + around) * factor)
        multiple = math.lcm(factor, self.net.multiple_of)
        return -(-needed // multiple) * multiple

    def __call__(
        self, scene: Tensor, reference: AlignedReference, factor: int, core: Window | None = None
    ) -> Tensor:
        """Bring a window of the reference to the scene's date.

        Args:
            scene: The scene's pixels, (B, C, h, w), in [0, 1].
            reference: The same window, matched to the scene, (B, C, factor * h, factor * w).
            factor: Pixels of the reference per pixel of the scene, along one side.
            core: The pixels that are wanted, counted from the window's first, the others being context; None for all.

        Returns:
            The reference as it would be on the scene's date, of the core's shape; as it was taken where it seems to show
            something else, which is for the pyramid to tell. Where it is not valid, nothing can be made of it.
        """
        scene, reference = scene.to(self.device), reference.to(self.device)
        shape = Shape(*reference.image.shape[-2:])
        core = core or Window(0, 0, *shape)
        smooth = enlarged(scene, factor)
        image = torch.where(reference.valid > 0, reference.image, smooth)
        reduced = self.sensor.degrade(image, factor)
        trust = F.interpolate(likeness(scene, reduced), scale_factor=factor, mode="bilinear")
        near = core.padded(NET_HALO).clipped(shape)
        stacks = [_cut(each, near) for each in (smooth, image, enlarged(reduced, factor))]
        fused = by_band_groups(
            stacks, scene.shape[1], self.net.bands, partial(self._of_groups, factor, len(scene))
        )
        fused = _cut(fused, core._replace(row=core.row - near.row, col=core.col - near.col))
        image = _cut(image, core)
        return image + MOST * _cut(trust, core) * (fused.float() - image)

    def _of_groups(self, factor: int, batch: int, stacks: list[Tensor]) -> Tensor:
        """The network's answer, one band group after the other, so that many bands take no more memory than three."""
        groups = zip(*(torch.split(stack, batch) for stack in stacks), strict=True)
        return torch.cat([self._of_group(factor, *images) for images in groups])

    def _of_group(self, factor: int, smooth: Tensor, image: Tensor, coarse: Tensor) -> Tensor:
        rows, cols = image.shape[-2:]
        # Sides are whole multiples, but for those that end with the scene.
        lacking = (0, -cols % self.net.multiple_of, 0, -rows % self.net.multiple_of)
        smooth, image, coarse = (
            F.pad(each, lacking, mode="replicate") for each in (smooth, image, coarse)
        )
        context = context_of(factor, self.sensor).to(smooth)
        with torch.autocast(smooth.device.type, torch.bfloat16, enabled=self.autocast):
            fused: Tensor = self.net(smooth, image, coarse, context)
        return fused[..., :rows, :cols]


def context_of(factor: int, sensor: SensorModel) -> Tensor:
    """What the network is told of a ratio of resolutions and of the scene's sensor, (1, 2)."""
    return torch.tensor([[math.log2(factor) - 3.0, 2.0 * sensor.mtf - 1.0]])


def likeness(scene: Tensor, reference: Tensor) -> Tensor:
    """How surely two images of one grid show the same place, window by window, from their details.

    Args:
        scene: Shape (B, C, h, w).
        reference: Of the same shape.

    Returns:
        Shape (B, 1, h, w), in [0, 1].
    """
    ours, theirs = (
        image - _mean_around(image, DETAIL_RADIUS)
        for image in (scene.mean(1, keepdim=True), reference.mean(1, keepdim=True))
    )
    product, square, other = (
        _mean_around(each, RADIUS) for each in (ours * theirs, ours * ours, theirs * theirs)
    )
    # Of two images without detail nothing can be told.
    correlation = product / (square * other).sqrt().clamp_min(FLAT)
    return ((correlation - UNLIKE) / (LIKE - UNLIKE)).clamp(0, 1)


def _mean_around(image: Tensor, radius: int) -> Tensor:
    """The means of the windows around pixels, cut off at the image's edge."""
    return F.avg_pool2d(image, 2 * radius + 1, 1, radius, count_include_pad=False)


def enlarged(image: Tensor, factor: int) -> Tensor:
    """An image interpolated by the cubic kernel."""
    return F.interpolate(image, scale_factor=factor, mode="bicubic")


def _cut(image: Tensor, window: Window) -> Tensor:
    """A window of an image (B, C, h, w)."""
    row, col, height, width = window
    return image[..., row : row + height, col : col + width]
