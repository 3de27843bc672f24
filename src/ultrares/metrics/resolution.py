"""How fine the detail is that an image shares with the truth: its measured modulation transfer."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ultrares.errors import InputError
from ultrares.metrics.patch import SIDE, Pair, Patch
from ultrares.metrics.pixels import Pixels, as_doubles
from ultrares.types import Window

BLOCK = 64
NYQUIST = 0.5


def mtf50(estimate: Pixels, truth: Pixels) -> float:
    """Frequency, in cycles per pixel, at which half of the truth's contrast is left in the estimate.

    The transfer at a frequency is the real part of the cross-spectrum of both images over the power
    spectrum of the truth, summed over bands, squares of 64 x 64 pixels under a Hann window, and rings that
    are 1/64 cycles per pixel wide. Detail that the truth does not have adds nothing to it, so invented
    sharpness does not count. MTF50 is where the transfer first falls below one half, found by linear
    interpolation between rings.

    Args:
        estimate: Shape (C, H, W), any numeric type.
        truth: The same shape, at least 64 x 64 pixels.

    Returns:
        0 to 0.5; 0.5, the Nyquist frequency, if it does not fall below one half.

    Raises:
        InputError: The shapes differ, or are not (C, H, W) of at least 64 x 64 pixels.
    """
    one, other = as_doubles(estimate, truth)
    if one.ndim != 3 or min(one.shape[-2:]) < BLOCK:
        raise InputError(
            f"the modulation transfer of shape {tuple(one.shape)} is not defined: pass (C, H, W) of at "
            f"least {BLOCK} x {BLOCK} pixels"
        )
    whole = Window(0, 0, *one.shape[-2:])
    valid = torch.ones(one.shape[-2:], dtype=torch.bool)
    tally = TransferTally()
    tally.add(Patch(Pair(one, other, valid, ~valid), whole, whole))
    return tally.scores()["mtf50"]


class TransferTally:
    """Cross-spectrum and power spectrum by frequency, added up over squares of valid pixels."""

    halo = 0
    side = SIDE

    def __init__(self) -> None:
        hann = torch.hann_window(BLOCK, periodic=True, dtype=torch.float64)
        self._window = hann[:, None] * hann[None, :]
        frequency = torch.fft.fftfreq(BLOCK, dtype=torch.float64)
        radius = (frequency[:, None].square() + frequency[None, :].square()).sqrt()
        self._ring = (radius * BLOCK).round().long()
        self._cross, self._power = (
            torch.zeros(int(self._ring.max()) + 1, dtype=torch.float64) for _ in range(2)
        )

    def add(self, patch: Patch) -> None:
        """Count the whole squares in the core of a patch."""
        core = (slice(None), *patch.inner)
        usable = _squares(patch.pair.valid[patch.inner]).flatten(1).all(dim=1)
        if not usable.any():
            return
        for one, other in zip(patch.pair.estimate[core], patch.pair.truth[core], strict=True):
            ours, true = (self._spectrum(_squares(band)[usable]) for band in (one, other))
            self._add(self._cross, (ours * true.conj()).real)
            self._add(self._power, true.abs().square())

    def _spectrum(self, squares: Tensor) -> Tensor:
        level = squares.mean(dim=(1, 2), keepdim=True)
        return torch.fft.fft2((squares - level) * self._window)

    def _add(self, sums: Tensor, spectra: Tensor) -> None:
        sums.index_add_(0, self._ring.flatten(), spectra.sum(dim=0).flatten())

    def transfer(self) -> list[float]:
        """The transfer at 1/64, 2/64, ... 1/2 cycles per pixel; not-a-number where the truth is flat."""
        rings = slice(1, BLOCK // 2 + 1)
        return (self._cross[rings] / self._power[rings]).tolist()

    def scores(self) -> dict[str, float]:
        """``mtf50`` and ``effective_pixel``, half its inverse: the pixel that could carry as much."""
        frequency = _falls_below(self.transfer(), 0.5)
        return {
            "mtf50": frequency,
            "effective_pixel": NYQUIST / frequency if frequency else math.inf,
        }


def _squares(band: Tensor) -> Tensor:
    """The whole squares of (h, w), shape (n, 64, 64)."""
    rows, cols = band.shape[0] // BLOCK, band.shape[1] // BLOCK
    cut = band[: rows * BLOCK, : cols * BLOCK].reshape(rows, BLOCK, cols, BLOCK)
    return cut.transpose(1, 2).reshape(-1, BLOCK, BLOCK)


def _falls_below(transfer: list[float], level: float) -> float:
    """Where a transfer that is 1 at frequency 0 first falls below a level."""
    if any(math.isnan(value) for value in transfer):
        return math.nan
    before = 1.0
    for ring, value in enumerate(transfer, start=1):
        if value < level:
            return (ring - 1 + (before - level) / (before - value)) / BLOCK
        before = value
    return NYQUIST
