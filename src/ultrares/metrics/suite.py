"""Which metrics there are, what each needs, and how a chosen few are added up together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ultrares.errors import InputError, OptionError
from ultrares.metrics.ergas import ErgasTally
from ultrares.metrics.fidelity import FidelityTally
from ultrares.metrics.histogram import HistogramTally
from ultrares.metrics.lpips import PerceptionTally
from ultrares.metrics.niqe import MINIMUM_SIDE, NaturalnessTally
from ultrares.metrics.patch import SIDE, Patch, Tally
from ultrares.metrics.resolution import TransferTally
from ultrares.metrics.scores import Scores
from ultrares.metrics.seams import SeamTally
from ultrares.metrics.setting import NOTHING_TO_COMPARE, Setting
from ultrares.metrics.sharpness import GradientTally
from ultrares.metrics.spectral import AngleTally
from ultrares.metrics.ssim import SimilarityTally

CONSISTENCY = "lr_psnr"
"""The metric that compares with the coarse image, which is added up on that image's grid."""


class Family(NamedTuple):
    """Metrics that are computed together.

    Attributes:
        names: What can be asked for.
        build: Makes the tally.
        lacks: Says what is missing and what to do, or nothing.
    """

    names: tuple[str, ...]
    build: Callable[[Setting], Tally]
    lacks: Callable[[Setting], str]


def _nothing(_: Setting) -> str:
    return ""


def _naturalness(setting: Setting) -> Tally:
    assert setting.tools.pristine is not None
    return NaturalnessTally(
        setting.tools.pristine, setting.shape, floor=setting.floor, peak=setting.peak
    )


def _perception(setting: Setting) -> Tally:
    assert setting.tools.lpips is not None
    return PerceptionTally(setting.tools.lpips, floor=setting.floor, peak=setting.peak)


def _histograms(setting: Setting) -> Tally:
    return HistogramTally(
        setting.bands,
        setting.extent.lowest,
        setting.extent.highest,
        whole_numbers=setting.whole_numbers,
    )


def _lacks_naturalness(setting: Setting) -> str:
    if setting.bands == 2:
        return "needs one band, or three: two have no brightness"
    return (
        "" if setting.tools.pristine else "needs its model: pass the folder it lies in as weights"
    )


def _lacks_perception(setting: Setting) -> str:
    if setting.bands < 3:
        return f"needs red, green and blue, not {setting.bands} bands"
    return "" if setting.tools.lpips else "needs its network: pass the folder it lies in as weights"


FAMILIES = (
    Family(("psnr", "mae_dn", "sre", "sre_db"), lambda s: FidelityTally(s.bands, s.peak), _nothing),
    Family(("ssim",), lambda s: SimilarityTally(s.peak), _nothing),
    Family(
        ("sam",), lambda _: AngleTally(), lambda s: "" if s.bands > 1 else "needs two bands or more"
    ),
    Family(
        ("ergas",),
        lambda s: ErgasTally(s.bands, s.scale or 1),
        lambda s: "" if s.scale else "needs the scale: pass it, or the coarse image",
    ),
    Family(("ag",), lambda _: GradientTally(), _nothing),
    Family(("histogram_distance",), _histograms, _nothing),
    Family(("mtf50",), lambda _: TransferTally(), _nothing),
    Family(
        ("seam",),
        lambda s: SeamTally(s.tile or 0, s.period),
        lambda s: "" if s.tile else "needs the side of the tiles: pass it as tile",
    ),
    Family(("niqe",), _naturalness, _lacks_naturalness),
    Family(("lpips",), _perception, _lacks_perception),
)

NAMES = (*(name for family in FAMILIES for name in family.names), CONSISTENCY)


def check_names(metrics: Sequence[str], known: Sequence[str] = NAMES) -> None:
    """Refuse names that are not those of metrics.

    Raises:
        OptionError: One is unknown, or none is given.
    """
    unknown = [name for name in metrics if name not in known]
    if unknown or not metrics:
        raise OptionError(
            f"unknown metric {', '.join(map(repr, unknown)) or 'of no name'}: choose from {', '.join(known)}"
        )


@dataclass
class Coverage:
    """How much of the images was compared, and whether there is anything in it."""

    compared: int = 0
    missing: int = 0
    total: int = 0

    def __post_init__(self) -> None:
        """Begin with ranges that hold nothing."""
        self._ranges = [[torch.inf, -torch.inf], [torch.inf, -torch.inf]]

    def add(self, patch: Patch) -> None:
        """Count the core of a patch."""
        self.total += patch.core.height * patch.core.width
        self.missing += int(patch.pair.missing[patch.inner].sum())
        self.compared += patch.counted[0].shape[-1]
        for span, pixels in zip(self._ranges, patch.counted, strict=True):
            if pixels.numel():
                span[0] = min(span[0], float(pixels.min()))
                span[1] = max(span[1], float(pixels.max()))

    def notes(self) -> list[str]:
        """What a reader of the figures should know."""
        found = []
        if self.missing:
            found.append(
                f"{self.missing} pixels of the truth ({self.missing / self.total:.2%}) have no data in "
                "the result and were not compared"
            )
        for name, (low, high) in zip(("result", "truth"), self._ranges, strict=True):
            if low == high:
                found.append(
                    f"the {name} is {low:g} everywhere: similarity, ratios and resolution say nothing"
                )
        return found


class Suite:
    """The metrics of one comparison.

    Args:
        setting: Facts about the images.
        metrics: Names of those wanted; None for all that can be had.

    Raises:
        OptionError: A name is unknown, or what it needs is missing.
    """

    def __init__(self, setting: Setting, metrics: Sequence[str] | None = None) -> None:
        self._setting = setting
        self._wanted = _available(setting) if metrics is None else tuple(metrics)
        check_names(self._wanted)
        self._families: list[tuple[Family, Tally]] = []
        for family in FAMILIES:
            if set(family.names) & set(self._wanted):
                lacking = family.lacks(setting)
                if lacking:
                    raise OptionError(f"{family.names[0]} {lacking}")
                self._families.append((family, family.build(setting)))
        self._coverage = Coverage()

    @property
    def halo(self) -> int:
        """Pixels around a core that the metrics need."""
        return max((tally.halo for _, tally in self._families), default=0)

    @property
    def side(self) -> int:
        """Side of the squares that the metrics are added up over."""
        return max((tally.side for _, tally in self._families), default=SIDE)

    def add(self, patch: Patch) -> None:
        """Count the core of a patch."""
        self._coverage.add(patch)
        if not patch.pair.valid.any():
            return
        for _, tally in self._families:
            tally.add(patch)

    def scores(self, extra: dict[str, float], words: dict[str, str]) -> Scores:
        """The figures of all that was counted, with others and with settings from elsewhere.

        Raises:
            InputError: No pixel could be compared.
        """
        if not self._coverage.compared:
            raise InputError(NOTHING_TO_COMPARE)
        values: dict[str, float] = {}
        for family, tally in self._families:
            found = tally.scores()
            alone = len(family.names) == 1
            values |= {key: value for key, value in found.items() if alone or key in self._wanted}
        notes = self._coverage.notes()
        if "niqe" in values and min(self._setting.shape) < MINIMUM_SIDE:
            notes.append(f"NIQE needs {MINIMUM_SIDE} x {MINIMUM_SIDE} pixels")
        return Scores(
            values | extra,
            self._coverage.compared,
            self._coverage.compared / self._coverage.total,
            self._setting.in_words() | words,
            tuple(notes),
        )


def _available(setting: Setting) -> tuple[str, ...]:
    return tuple(name for family in FAMILIES if not family.lacks(setting) for name in family.names)


def as_pair(
    estimate: tuple[Tensor, Tensor], truth: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Both images zero where not to be compared, where to compare them, and where the estimate is missing.

    Args:
        estimate: Doubles and validity, both (C, h, w).
        truth: The same of the truth.
    """
    ours, true = estimate[1].all(dim=0), truth[1].all(dim=0)
    valid = ours & true
    if bool(valid.all()):
        return estimate[0], truth[0], valid, ~valid
    return (
        torch.where(valid, estimate[0], 0.0),
        torch.where(valid, truth[0], 0.0),
        valid,
        true & ~ours,
    )
