"""All metrics of a result in memory, in one call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ultrares.errors import InputError, OptionError
from ultrares.metrics.consistency import ConsistencyTally, scale_of
from ultrares.metrics.fidelity import psnr_of
from ultrares.metrics.patch import Pair, patches
from ultrares.metrics.pixels import Pixels, as_double
from ultrares.metrics.scores import Scores
from ultrares.metrics.setting import BYTES, Extent, Setting, levels
from ultrares.metrics.suite import CONSISTENCY, Suite, as_pair, check_names
from ultrares.metrics.tools import read_tools
from ultrares.sensor.models import SensorModel, parse_sensor
from ultrares.types import Shape, Window


@dataclass(frozen=True)
class Masked:
    """An image and where it can be believed, both (C, H, W).

    Attributes:
        pixels: The image as it came.
        valid: Its validity, band by band.
        whole_numbers: Whether its type holds whole numbers only.
        unsigned_bytes: Whether its type is that of unsigned bytes.
    """

    pixels: Pixels
    valid: Tensor
    whole_numbers: bool
    unsigned_bytes: bool

    @classmethod
    def of(cls, image: Pixels, name: str, mask: Pixels | None, nodata: float | None) -> Masked:
        """An image without the pixels that are masked, equal to nodata or not finite.

        Raises:
            InputError: The image is not (C, H, W), or the mask is of another size.
        """
        if image.ndim != 3 or 0 in image.shape:
            raise InputError(
                f"{name} has shape {tuple(image.shape)}: pass (C, H, W) without zeros in it"
            )
        valid = torch.ones(tuple(image.shape), dtype=torch.bool)
        # band by band: a whole image of doubles would be eight times as large as its bytes
        for band, usable in zip(image, valid, strict=True):
            values = as_double(band)
            usable &= values.isfinite()
            if nodata is not None and not np.isnan(nodata):
                usable &= values != nodata
        if mask is not None:
            if tuple(mask.shape[-2:]) != tuple(image.shape[-2:]):
                raise InputError(
                    f"the mask has shape {tuple(mask.shape)}, and {name} {tuple(image.shape)}: "
                    "pass a mask of the image's height and width"
                )
            valid &= torch.as_tensor(mask).bool()
        numpy_like = (
            torch.zeros(0, dtype=image.dtype).numpy() if isinstance(image, Tensor) else image
        )
        kind: np.dtype = numpy_like.dtype
        return cls(image, valid, kind.kind in "iub", kind == np.uint8)

    def part(self, window: Window) -> tuple[Tensor, Tensor]:
        """Doubles and validity of a window."""
        rows = slice(window.row, window.row + window.height)
        cols = slice(window.col, window.col + window.width)
        return as_double(self.pixels[:, rows, cols]), self.valid[:, rows, cols]


def score(  # noqa: PLR0913 - its keywords are what the figures depend on
    sr: Pixels,
    hr: Pixels,
    lr: Pixels | None = None,
    *,
    sensor: str | SensorModel = "box",
    mask: Pixels | None = None,
    nodata: float | None = None,
    metrics: Sequence[str] | None = None,
    peak: float | None = None,
    scale: float | None = None,
    tile: int | None = None,
    weights: str | Path | None = None,
) -> Scores:
    """Compare a result with the truth, and with the coarse image it was made from.

    A pixel is compared where every band of both images is finite, not nodata and not masked.

    Args:
        sr: The result, shape (C, H, W), any numeric type.
        hr: The truth, the same shape.
        lr: The coarse image, shape (C, H / k, W / k); adds ``lr_psnr`` and, by its size, ``ergas``.
        sensor: How a coarse pixel gathers light: ``box``, ``bicubic`` or ``mtf:VALUE``.
        mask: Where to compare, true or nonzero, shape (H, W) or (C, H, W).
        nodata: The value that means no data, in all images.
        metrics: Names of those wanted; None for all that the arguments allow.
        peak: Largest value the data can take; None is 255 for unsigned bytes, else the truth's range.
        scale: Fine pixels per coarse pixel, for ``ergas``; known from ``lr``.
        tile: Side of the tiles that the result was computed in; adds ``seam``.
        weights: Folder with the weights of LPIPS and the model of NIQE; adds ``lpips`` and ``niqe``.

    Raises:
        InputError: The images do not fit, or no pixel can be compared.
        OptionError: A metric or sensor is unknown, or what a metric needs is missing.
        ModelError: The weights are missing or not what they should be.
    """
    if tuple(sr.shape) != tuple(hr.shape):
        raise InputError(_difference(tuple(sr.shape), tuple(hr.shape)))
    if metrics is not None:
        check_names(metrics)
    ours, true = Masked.of(sr, "sr", mask, nodata), Masked.of(hr, "hr", mask, nodata)
    coarse = None if lr is None else Masked.of(lr, "lr", None, nodata)
    if coarse is not None:
        scale = scale_of(tuple(sr.shape), tuple(coarse.pixels.shape))
    extent = _extent(ours, true)
    floor, peak = levels(peak, extent)
    setting = Setting(
        bands=len(sr),
        shape=Shape(*sr.shape[-2:]),
        floor=floor,
        peak=peak,
        extent=extent,
        whole_numbers=ours.whole_numbers and true.whole_numbers,
        scale=scale,
        tile=tile,
        tools=read_tools(weights),
    )
    suite = Suite(setting, metrics)
    for patch in patches(
        setting.shape,
        lambda window: Pair(*as_pair(ours.part(window), true.part(window))),
        halo=suite.halo,
        side=suite.side,
    ):
        suite.add(patch)
    extra: dict[str, float] = {}
    words: dict[str, str] = {}
    if wants_consistency(metrics, given=coarse is not None) and coarse is not None:
        model = parse_sensor(sensor) if isinstance(sensor, str) else sensor
        extra, words = _consistency(ours, coarse, model, peak)
    return suite.scores(extra, words)


def wants_consistency(metrics: Sequence[str] | None, *, given: bool) -> bool:
    """Whether the comparison with the coarse image is wanted.

    Args:
        metrics: The names asked for, or None for all.
        given: Whether there is a coarse image.

    Raises:
        OptionError: It is asked for by name, without a coarse image.
    """
    if metrics is not None and CONSISTENCY in metrics and not given:
        raise OptionError(f"{CONSISTENCY} needs the coarse image: pass it as lr")
    return given and (metrics is None or CONSISTENCY in metrics)


def _difference(ours: tuple[int, ...], true: tuple[int, ...]) -> str:
    """What differs in two shapes."""
    if len(ours) == len(true) == 3 and ours[1:] == true[1:]:
        return f"sr has {ours[0]} bands and hr has {true[0]}: pass the same bands of both"
    return f"sr has shape {ours} and hr {true}: pass images of one size, (C, H, W)"


def _extent(ours: Masked, true: Masked) -> Extent:
    """Smallest and largest values; without a look at them for unsigned bytes."""
    if ours.unsigned_bytes and true.unsigned_bytes:
        return BYTES
    valid = ours.valid.all(dim=0) & true.valid.all(dim=0)
    extent = Extent()
    for one, other in zip(ours.pixels, true.pixels, strict=True):
        extent = extent.merged(extent_of(as_double(one)[valid], as_double(other)[valid]))
    return extent


def extent_of(estimate: Tensor, truth: Tensor) -> Extent:
    """Smallest and largest of valid pixels; of none, an extent that holds nothing."""
    if not truth.numel():
        return Extent()
    low, high = float(truth.min()), float(truth.max())
    return Extent(min(low, float(estimate.min())), max(high, float(estimate.max())), low, high)


def _consistency(
    ours: Masked, coarse: Masked, sensor: SensorModel, peak: float
) -> tuple[dict[str, float], dict[str, str]]:
    whole = Window(0, 0, *ours.valid.shape[-2:])
    below = Window(0, 0, *coarse.valid.shape[-2:])
    tally = ConsistencyTally(sensor, whole.height // below.height)
    fine, valid = ours.part(whole)
    pixels, known = coarse.part(below)
    tally.add(
        (torch.where(valid, fine, 0.0), valid), (torch.where(known, pixels, 0.0), known), below
    )
    return {CONSISTENCY: psnr_of(tally.mse, peak)}, {"sensor": sensor.name}
