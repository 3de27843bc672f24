"""How much of a product's detail the input explains, and how far its means are from the input's.

The input explains the smooth image that has its pixels as means: in each input pixel a parabola along rows and
columns, continuous from pixel to pixel, whose mean is the pixel. What the product adds to it is the detail D.
Around each output pixel, over a square about as wide as an input pixel,

    share = V(D) / (V(D) + V(S)),    D = P - S,

where V is the variance over the valid pixels of the square, P the product and S the smooth image. It is the share
of the variance of P that S lacks where the two parts are uncorrelated, which D, whose mean over each input
pixel is 0, and S nearly are; it lies in [0, 1] in any case. The variance that rounding to whole numbers makes,
1/12, is taken off V(D) first, and where nothing varies the share is 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ultrares.scene.profile import BandProfile, SceneProfile
from ultrares.scene.radiometry import Radiometry
from ultrares.scene.tile import Layer
from ultrares.sensor.areas import AreaMeans
from ultrares.types import Window

EVIDENCE = "evidence"
"""Name of the layer, and how its metadata item ULTRARES_CONTENT begins."""

EVIDENCE_IN_WORDS = "evidence: share of local variance invented, residual of radiometry"

REACH = 2
"""Scene pixels on each side of one that shape its parabola."""

FLAT = 1e-12
"""Variance, of the scene's range squared, below which nothing varies."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Seen:
    """What the share of a window is computed from.

    Attributes:
        product: Digital numbers, lit bands of the window grown by ``radius`` where the product reaches,
            (L, H, W).
        smooth: The smooth image there, in [0, 1], of the same shape.
        valid: Which pixels show the ground, of the same shape.
        lack: Rows above and below, columns left and right, by which the window grown by ``radius`` leaves
            the product.
        radius: Half the side of the square, rounded down, in output pixels.
    """

    product: np.ndarray
    smooth: Floats
    valid: NDArray[np.bool_]
    lack: tuple[tuple[int, int], tuple[int, int]]
    radius: int


def radius_of(pitch: float) -> int:
    """Half the side of the square around an output pixel, given scene pixels per output pixel."""
    return max(1, int(0.5 / pitch + 1e-6))


def profile_of_evidence(profile: SceneProfile) -> SceneProfile:
    """The profile of the layer: for each band that carries light its share, then for each its residual."""
    spread = profile.of_spread()
    names = [(band.description or "").removeprefix("std of ") for band in spread.bands]
    shares = [BandProfile(f"invented share of {name}", nodata=np.nan) for name in names]
    residuals = [
        replace(band, description=f"radiometry residual of {name}")
        for name, band in zip(names, spread.bands, strict=True)
    ]
    return replace(spread, bands=(*shares, *residuals))


def smooth_along(pixels: np.ndarray, origin: int, edges: Floats, axis: int) -> Floats:
    """Means over output pixels of the continuous parabolas that have the scene's pixels as means.

    With edge values a = (7 (x0 + x1) - (x-1 + x2)) / 12, which are of fourth order, the integral over a
    pixel from its left edge to t is a_left (t - 2 t^2 + t^3) + a_right (t^3 - t^2) + x (3 t^2 - 2 t^3).

    Args:
        pixels: Scene pixels; along the axis they reach ``REACH`` beyond those that the edges lie in.
        origin: Number of the first of them in the scene; may be negative.
        edges: Of the output pixels, ascending, in pixels of the scene.
        axis: 1 or 2 of (L, h, w).
    """
    moved = np.moveaxis(pixels, axis, -1).astype(np.float64)
    first = np.floor(edges[:-1]).astype(int)
    cells = int(np.ceil(float(np.diff(edges).max()) - 1e-9)) + 1
    weights = np.zeros((cells + 2 * REACH, len(first)))
    for cell in range(cells):
        start, stop = ((edge - first - cell).clip(0, 1) for edge in (edges[:-1], edges[1:]))
        for tap, weight in enumerate(_weights(start, stop)):
            weights[cell + tap] += weight
    result = np.zeros((*moved.shape[:-1], len(first)))
    # Taps in a fixed order, so that a pixel does not depend on how many are made at once.
    for tap, weight in enumerate(weights / np.diff(edges)):
        places = (first - origin + tap - REACH).clip(0, moved.shape[-1] - 1)
        result += weight * moved[..., places]
    return np.moveaxis(result, -1, axis)


def lack_of(grown: Window, seen: Window) -> tuple[tuple[int, int], tuple[int, int]]:
    """Rows above and below, and columns left and right, of a window that its part ``seen`` lacks."""
    return (
        (seen.row - grown.row, grown.row + grown.height - seen.row - seen.height),
        (seen.col - grown.col, grown.col + grown.width - seen.col - seen.width),
    )


def invented_share(seen: Seen, radiometry: Radiometry) -> NDArray[np.float32]:
    """The share of a window, shape (L, h, w) without the radius, in [0, 1]; not-a-number without data."""
    span = radiometry.high - radiometry.low
    usable = seen.valid
    with np.errstate(invalid="ignore", over="ignore"):
        unit = (seen.product.astype(np.float64) - radiometry.low) / span
    detail = np.where(usable, unit - seen.smooth, 0.0)
    smooth = np.where(usable, seen.smooth, 0.0)
    count, *sums = (
        _sums_around(np.pad(image, ((0, 0), *seen.lack)), seen.radius)
        for image in (usable.astype(np.float64), detail, detail**2, smooth, smooth**2)
    )
    count = np.maximum(count, 1)
    invented = _variance(sums[0], sums[1], count)
    explained = _variance(sums[2], sums[3], count)
    if seen.product.dtype.kind in "iu":
        invented = np.maximum(invented - 1 / (12 * span**2), 0)
    invented[invented < FLAT] = 0
    total = invented + explained
    share = np.divide(invented, total, out=np.zeros_like(total), where=total > FLAT)
    own = np.pad(usable, ((0, 0), *seen.lack))[
        :, seen.radius : -seen.radius, seen.radius : -seen.radius
    ]
    return np.where(own, share, np.nan).astype(np.float32)


def block_residual(pixels: np.ndarray, truth: np.ndarray, scale: int) -> NDArray[np.float64]:
    """Block means minus scene pixels, from sums of deviations, which are exact for integers.

    Args:
        pixels: Shape (L, scale * h, scale * w).
        truth: Shape (L, h, w), of the same type.
        scale: Side of a block.

    Returns:
        Shape (L, h, w), in digital numbers; whatever it is where there is no data.
    """
    bands, rows, cols = truth.shape
    whole = truth.dtype.kind in "iu"
    # Unsigned differences wrap; read as signed they are right.
    wide: Any = np.uint64 if whole else np.float64
    blocks = pixels.reshape(bands, rows, scale, cols, scale)
    lines: Any = np.zeros((bands, rows, cols, scale), dtype=wide)
    result: Any = np.zeros(truth.shape, dtype=wide)
    with np.errstate(invalid="ignore", over="ignore"):
        centre = truth.astype(wide)[..., None]
        for row in range(scale):
            lines += blocks[:, :, row].astype(wide) - centre
        for col in range(scale):
            result += lines[..., col]
        return (result.view(np.int64) if whole else result) / scale**2


def area_residual(
    pixels: np.ndarray, valid: np.ndarray, truth: np.ndarray, rows: Floats, cols: Floats
) -> Floats:
    """Area-weighted means minus scene pixels, in digital numbers.

    Args:
        pixels: Output pixels that touch the scene pixels, (L, H, W).
        valid: Which of them show the ground.
        truth: The scene pixels, (L, h, w); finite.
        rows: Shares of the output rows in the scene's, (h, H).
        cols: Shares of the output columns, (w, W).

    Returns:
        Shape (L, h, w); 0 where no output pixel counts.
    """
    bands = zip(np.where(valid, pixels, 0).astype(np.float64), valid, truth, strict=True)
    means = [AreaMeans(rows, cols, usable).of(band) - pixel for band, usable, pixel in bands]
    return np.nan_to_num(np.stack(means), nan=0.0)


def layer_of(share: NDArray[np.float32], residual: np.ndarray, valid: NDArray[np.bool_]) -> Layer:
    """The layer, (2 L, h, w), from its halves, (L, h, w) each."""
    told = np.where(valid, residual, np.nan).astype(np.float32)
    return Layer(np.concatenate([share, told]), np.concatenate([valid, valid]))


def _weights(start: Floats, stop: Floats) -> Sequence[Floats]:
    """What the integral of a pixel from ``start`` to ``stop`` takes of it and two neighbours on each side."""
    left, right, own = (
        high - low for high, low in zip(_hermite(stop), _hermite(start), strict=True)
    )
    return (
        -left / 12,
        (7 * left - right) / 12,
        (7 * left + 7 * right) / 12 + own,
        (7 * right - left) / 12,
        -right / 12,
    )


def _hermite(t: Floats) -> tuple[Floats, Floats, Floats]:
    square, cube = t * t, t * t * t
    return t - 2 * square + cube, cube - square, 3 * square - 2 * cube


def _variance(total: Floats, squares: Floats, count: Floats) -> Floats:
    return np.maximum(squares / count - (total / count) ** 2, 0)


def _sums_around(image: Floats, radius: int) -> Floats:
    """Sums over squares of ``2 * radius + 1``, without the outermost ``radius``."""
    for axis in (-2, -1):
        image = _running_sums(np.moveaxis(image, axis, -1), 2 * radius + 1)
        image = np.moveaxis(image, -1, axis)
    return image


def _running_sums(line: Floats, width: int) -> Floats:
    """Sums of ``width`` neighbours, from sums of 1, 2, 4, ...: the same order of adding for each."""
    length = line.shape[-1] - width + 1
    total = np.zeros((*line.shape[:-1], length))
    piece, size, offset = line, 1, 0
    while size <= width:
        if width & size:
            total += piece[..., offset : offset + length]
            offset += size
        piece = piece[..., :-size] + piece[..., size:]
        size *= 2
    return total
