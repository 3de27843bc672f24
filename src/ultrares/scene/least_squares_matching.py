"""How far a finer image lies beside a coarse one, in parts of the *finer* one's pixels: least-squares matching.

A coarse pixel is an area mean, and a shift changes it by what enters at one side less what leaves at the other. So sixteen
by sixteen coarse pixels tell a shift to a few hundredths of their width, though what changed between two dates is
much larger than what a shift changes: a change has the colours of seasons, shadows and new roofs, a shift those of the edges.

Förstner, W. (1982), "On the geometric precision of digital correlation"; Gruen, A. W. (1985), "Adaptive least squares
correlation". The weights are those of generalised least squares over the bands, and robust over the pixels (Cauchy's).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

ITERATIONS = 6
"""Passes of reweighting; more change nothing on pairs of dates."""

BULK = 1.5
"""Usual residuals from which a pixel counts for less and less, as changed."""

CORRELATED = 4.0
"""Pixels whose residuals say together what one would by itself: what changed is larger than a pixel."""

LEAST_NOISE = 1 / 255
"""Standard deviation of a residual at least, of the scene's range: that of rounding, and of matching itself."""


class Evidence(NamedTuple):
    """What a window says of a shift: normal equations, which add up over windows.

    Attributes:
        normal: Fisher information, (2, 2), per square of the unit that slopes are given in.
        moment: Of the shift that explains the window best, normal @ shift, (2,).
    """

    normal: Floats
    moment: Floats


NOTHING = Evidence(np.zeros((2, 2)), np.zeros(2))


def evidence_of(scene: Floats, reference: Floats, slopes: Floats) -> Evidence:
    """Find what some pixels say of the shift of a reference against a scene.

    Args:
        scene: Values, (C, n), in [0, 1].
        reference: The reference's area means over the same pixels, (C, n). Gain and offset of each band are found alongside.
        slopes: Gradients of the reference, downwards and to the right, (2, C, n), their means over the same pixels.

    Returns:
        Evidence for how far the reference's content lies below and to the right of the scene's, in the unit of length that
        the slopes are given by.
    """
    bands, count = scene.shape
    if count <= 2 * bands + 2:
        return NOTHING
    pixel_weights = np.ones(count)
    shift, evidence = np.zeros(2), NOTHING
    for _ in range(ITERATIONS):
        # Without gain and offset (Frisch, Waugh and Lovell): what they explain says nothing of a shift.
        left, down, right = (
            _unexplained(values, reference, pixel_weights)
            for values in (scene - reference, *slopes)
        )
        residual = left - shift[0] * down - shift[1] * right
        spread = np.maximum(1.4826 * np.median(np.abs(residual), axis=1), LEAST_NOISE)
        cut = np.clip(residual, -3 * spread[:, None], 3 * spread[:, None])
        covariance = np.einsum("bn,cn->bc", cut, cut) / count + LEAST_NOISE**2 * np.eye(bands)
        precision = np.linalg.inv(covariance)
        distance = np.einsum("bn,bc,cn->n", residual, precision, residual)
        pixel_weights = 1 / (1 + distance / (BULK**2 * max(float(np.median(distance)), 1e-12)))
        sides = np.stack([down, right])
        weighted = np.einsum("ibn,bc->icn", sides, precision) * pixel_weights
        normal = np.einsum("icn,jcn->ij", weighted, sides) / CORRELATED
        moment = np.einsum("icn,cn->i", weighted, left) / CORRELATED
        evidence = Evidence(normal, moment)
        # A trace of curvature, where a window shows edges of one direction or none.
        floor = 1e-9 * (float(np.trace(normal)) + 1e-9) * np.eye(2)
        shift = np.linalg.solve(normal + floor, moment)
    return evidence


def shift_from(windows: Sequence[Evidence], expected: Floats, spread: float) -> Floats:
    """The most probable shift, (2,), given evidence and what was expected before it.

    Args:
        windows: Evidence; none of it leaves what was expected.
        expected: Mean of the normal distribution that shifts come from, (2,).
        spread: Its standard deviation, along each axis.
    """
    prior = np.eye(2) / spread**2
    normal = np.sum([each.normal for each in windows], axis=0) + prior
    moment = np.sum([each.moment for each in windows], axis=0) + prior @ expected
    return np.asarray(np.linalg.solve(normal, moment), dtype=np.float64)


def _unexplained(values: Floats, reference: Floats, weights: Floats) -> Floats:
    """Each band (C, n) less the best multiple of the reference's and the best constant."""
    total = weights.sum()
    centred, other = (image - (image @ weights / total)[:, None] for image in (values, reference))
    power = np.einsum("bn,bn,n->b", other, other, weights)
    slope = np.einsum("bn,bn,n->b", centred, other, weights) / np.maximum(power, 1e-12)
    return centred - slope[:, None] * other
