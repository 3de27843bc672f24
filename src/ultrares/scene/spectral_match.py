"""Bring a reference's bands to a scene's: the least-squares affine map at the scene's resolution."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

RIDGE = 0.01
"""Share of the reference's mean variance that is added to each band's, so that few or equal bands do not
make large weights."""


class Moments:
    """Sums from which the map follows, filled window by window.

    Args:
        scene_bands: Bands to be predicted.
        reference_bands: Bands to predict them from.
    """

    def __init__(self, scene_bands: int, reference_bands: int) -> None:
        self.count = 0
        self._scene = np.zeros(scene_bands)
        self._reference = np.zeros(reference_bands)
        self._cross = np.zeros((reference_bands, scene_bands))
        self._square = np.zeros((reference_bands, reference_bands))

    def add(self, scene: NDArray[np.floating], reference: NDArray[np.floating]) -> None:
        """Add the pixels of a window: (L, n) of the scene, (C, n) of the reference."""
        scene, reference = scene.astype(np.float64), reference.astype(np.float64)
        self.count += scene.shape[1]
        self._scene += scene.sum(axis=1)
        self._reference += reference.sum(axis=1)
        self._cross += reference @ scene.T
        self._square += reference @ reference.T

    def solve(self) -> tuple[Floats, Floats]:
        """Weights (L, C) and offsets (L,) of ``scene = weights @ reference + offsets``."""
        count = max(self.count, 1)
        scene, reference = self._scene / count, self._reference / count
        cross = self._cross / count - np.outer(reference, scene)
        square = self._square / count - np.outer(reference, reference)
        # Relative to the values too: a constant band leaves rounding, which must not be inverted.
        floor = 1e-12 * (1 + float(np.trace(self._square)) / count)
        ridge = RIDGE * float(np.trace(square)) / len(square) + floor
        solved = np.linalg.solve(square + ridge * np.eye(len(square)), cross)
        weights = np.asarray(solved.T, dtype=np.float64)
        return weights, scene - weights @ reference


def spectral_match(
    scene: NDArray[np.floating], reference: NDArray[np.floating]
) -> tuple[Floats, Floats]:
    """Least-squares affine map from all bands of a reference to each band of a scene.

    Every scene band may draw on every reference band, so their numbers need not agree: a panchromatic
    reference serves six bands, and a wrong one gets weights near zero.

    Args:
        scene: Shape (L, n).
        reference: The same n places, (C, n).

    Returns:
        Weights (L, C) and offsets (L,).
    """
    moments = Moments(len(scene), len(reference))
    moments.add(scene, reference)
    return moments.solve()
