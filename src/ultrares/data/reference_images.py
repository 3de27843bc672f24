"""Reference images for training: the place at another date, or something that is wrong in a known way.

Real ones are the same place in another year. Some are replaced by another place or made from the truth, some blurred,
shifted by a pixel or changed in contrast, so that a bad reference does no harm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ultrares.scene.coregistration import find_shift
from ultrares.scene.spectral_match import spectral_match

FARTHEST = 4.0
"""Pixels beyond which two dates of a place are not believed to lie beside each other."""

BETTER = 0.002
"""How much moving one of them must raise the correlation of their details: whole tiles tell a tenth of a pixel."""


@dataclass(frozen=True)
class ReferenceMixture:
    """How often references are offered, and what is wrong with them.

    Attributes:
        offered: Share of batches with references.
        wrong: Share of references of another place.
        blurred: Share reduced and enlarged by two, as if they were no finer than the level's input.
        shifted: Share shifted by one pixel of the result.
        simulated: Share made from the truth itself, spoilt by a blur, a shift, and another place's detail,
            so that references are met that agree better with the scene than the real ones at hand.
        jitter: Largest exponent of two of a change in contrast (gamma).
        registered: Whether real ones are moved onto the truth by parts of a pixel, as inference moves them onto its scene.
        registration_error: Standard deviation of what that leaves, in pixels of the result.
        trusted: Share of the detail of references of the place in what is to be learnt, instead of the truth's: what
            is asked of those of other places and dates than the ones at hand.
    """

    offered: float = 0.5
    wrong: float = 0.12
    blurred: float = 0.1
    shifted: float = 0.2
    simulated: float = 0.3
    jitter: float = 0.35
    registered: bool = False
    registration_error: float = 0.0
    trusted: float = 0.0


class Drawn(NamedTuple):
    """A reference.

    Attributes:
        image: Its pixels, (C, H, W), in [0, 1].
        of_the_place: Whether it shows the tile's place.
    """

    image: Tensor
    of_the_place: bool


class ReferenceImages:
    """Draws the references of tiles.

    Args:
        truth: Tiles of each octave, (N, C, H, W) unsigned 8-bit: as they are, reduced by 2, 4 and so on.
        places: Groups of tiles of one place (:func:`ultrares.data.reference_pairs.group_by_place`).
        mixture: How often they are real, and what is wrong with them.

    Attributes:
        paired: Tiles of which there is another of the same place.
    """

    def __init__(
        self,
        truth: Sequence[np.ndarray],
        places: Sequence[Sequence[int]],
        mixture: ReferenceMixture,
    ) -> None:
        self._truth, self._mixture = truth, mixture
        self._others = {
            tile: [other for other in group if other != tile] for group in places for tile in group
        }
        self.paired = np.array(sorted(self._others))
        self._beside: dict[tuple[int, int], tuple[float, float]] = {}

    def draw(
        self, rng: np.random.Generator, octave: int, tile: int, *, simulated: bool, changed: int = 0
    ) -> Drawn:
        """A reference of a tile.

        Args:
            rng: Where all randomness comes from.
            octave: Which of the tiles' sizes.
            tile: Which tile; one of ``paired``, if it is not simulated.
            simulated: Whether it is made from the tile itself.
            changed: Rectangles of another place that are put into one that is simulated, at most.
        """
        if not simulated:
            return self._real(rng, octave, tile)
        image = self._simulated(rng, octave, tile)
        image = self._changed(rng, octave, image, changed) if changed else image
        return Drawn(image, of_the_place=True)

    def spoil(self, rng: np.random.Generator, image: Tensor) -> Tensor:
        """Change an image's contrast, blur and shift it, as often as the mixture says."""
        mixture = self._mixture
        image = image ** float(2 ** rng.uniform(-mixture.jitter, mixture.jitter))
        if rng.random() < mixture.blurred:
            image = _blurred(image)
        if rng.random() < mixture.shifted:
            rows, cols = (int(value) for value in rng.integers(-1, 2, size=2))
            image = image.roll((rows, cols), dims=(1, 2))
        return image

    def _tile(self, octave: int, tile: int) -> Tensor:
        return torch.from_numpy(self._truth[octave][tile]).float().div_(255)

    def _real(self, rng: np.random.Generator, octave: int, tile: int) -> Drawn:
        """The place at another date, or now and then another place."""
        other = int(rng.choice(self._others[tile]))
        if rng.random() < self._mixture.wrong:
            elsewhere = np.setdiff1d(
                np.arange(len(self._truth[octave])), [tile, *self._others[tile]]
            )
            other = int(rng.choice(elsewhere)) if len(elsewhere) else other
        image, right = self._tile(octave, other), other in self._others[tile]
        if not self._mixture.registered:
            return Drawn(image, right)
        error = rng.normal(0, self._mixture.registration_error, 2)
        beside = self._shift(tile, other) if right else (0.0, 0.0)
        rows, cols = (part / 2**octave + left for part, left in zip(beside, error, strict=True))
        return Drawn(_moved(image, rows, cols), right)

    def _shift(self, tile: int, other: int) -> tuple[float, float]:
        """How far the content of another date lies below and to the right of a tile's, in pixels of the tiles."""
        if (tile, other) not in self._beside:
            pair = [self._truth[0][each].mean(axis=0, dtype=np.float64) for each in (tile, other)]
            found = find_shift([(pair[0], pair[1])], gain=BETTER, least=0.0)
            near = max(abs(found.rows), abs(found.cols)) <= FARTHEST
            self._beside[tile, other] = (found.rows, found.cols) if near else (0.0, 0.0)
        return self._beside[tile, other]

    def _simulated(self, rng: np.random.Generator, octave: int, tile: int) -> Tensor:
        """The place itself, blurred, shifted by parts of a pixel, with some detail of another place."""
        image = self._tile(octave, tile)
        kernel = (
            _gaussian(rng.uniform(0.2, 0.8), rng.uniform(-0.7, 0.7)),
            _gaussian(rng.uniform(0.2, 0.8), rng.uniform(-0.7, 0.7)),
        )
        image = _separably(image, *kernel)
        other = self._tile(octave, int(rng.integers(len(self._truth[octave]))))
        detail = other - _separably(other, _gaussian(1.5, 0.0), _gaussian(1.5, 0.0))
        return (image + float(rng.uniform(0, 0.8)) * detail).clamp(0, 1)

    def _changed(self, rng: np.random.Generator, octave: int, image: Tensor, most: int) -> Tensor:
        """The image with rectangles of other places in it: what was built since, or is gone."""
        image, (rows, cols) = image.clone(), image.shape[-2:]
        for _ in range(rng.integers(0, most + 1)):
            other = self._tile(octave, int(rng.integers(len(self._truth[octave]))))
            height, width = (int(value) for value in rng.integers(8, min(rows, cols) // 4, size=2))
            top, left = int(rng.integers(rows - height)), int(rng.integers(cols - width))
            here = slice(None), slice(top, top + height), slice(left, left + width)
            image[here] = other[here]
        return image


def matched_to(scene: np.ndarray, image: Tensor) -> np.ndarray:
    """A reference (C, H, W) in [0, 1] matched to its coarse scene, (3, h, w) of digital numbers; in [0, 1]."""
    factor = image.shape[-1] // scene.shape[-1]
    reduced = F.avg_pool2d(image, factor).flatten(1).numpy()
    weights, offsets = spectral_match(scene.reshape(len(scene), -1) / 255.0, reduced)
    flat = image.flatten(1).numpy()
    matched = weights.astype(np.float32) @ flat + offsets.astype(np.float32)[:, None]
    return matched.reshape(len(scene), *image.shape[1:])


def _gaussian(std: float, centre: float) -> Tensor:
    """Weights at -4 to 4 of a Gaussian about ``centre``."""
    weights = torch.exp(-0.5 * ((torch.arange(-4, 5) - centre) / std) ** 2)
    return weights / weights.sum()


def _moved(image: Tensor, rows: float, cols: float) -> Tensor:
    """An image (C, H, W) read further down and to the right by parts of a pixel, by cubic convolution."""
    steps = round(rows), round(cols)
    # The last pixels are repeated.
    down, right = (
        torch.arange(side).add(step).clamp(0, side - 1)
        for side, step in zip(image.shape[1:], steps, strict=True)
    )
    image = image[:, down][:, :, right]
    kernels = (_cubic(place - step) for place, step in zip((rows, cols), steps, strict=True))
    return _separably(image, *kernels).clamp(0, 1)


def _cubic(place: float) -> Tensor:
    """Weights at -4 to 4 of Keys' kernel about ``place``, half a pixel from the middle at most."""
    away = (torch.arange(-4, 5) - place).abs()
    near = 1.5 * away**3 - 2.5 * away**2 + 1
    far = -0.5 * away**3 + 2.5 * away**2 - 4 * away + 2
    return torch.where(away < 1, near, torch.where(away < 2, far, torch.zeros_like(away))).float()


def _separably(image: Tensor, rows: Tensor, cols: Tensor) -> Tensor:
    """An image (C, H, W) weighted along rows and columns; its edge pixels are repeated."""
    wide = F.pad(image[:, None], (4, 4, 4, 4), mode="replicate")
    return F.conv2d(F.conv2d(wide, rows.view(1, 1, -1, 1)), cols.view(1, 1, 1, -1))[:, 0]


def _blurred(image: Tensor) -> Tensor:
    """The image as if its pixels were twice as large."""
    return F.interpolate(
        F.avg_pool2d(image[None], 2), scale_factor=2, mode="bicubic", antialias=True
    )[0]
