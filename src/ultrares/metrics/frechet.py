"""How far two sets of images lie apart, as sets: the Fréchet distance of Gaussians fitted to features."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ultrares.errors import InputError

Features = NDArray[np.float64]


def fid(estimates: Features, truths: Features) -> float:
    """Fréchet distance of the Gaussians that fit two sets of features (Heusel et al., 2017).

    It is |m - n|^2 + tr(A + B - 2 (A B)^(1/2)) with the means m, n and the unbiased covariances A, B. With
    fewer images than features the covariances are singular and the distance is biased upwards: read
    :func:`ultrares.metrics.kernel_distance.kid` then.

    Args:
        estimates: Shape (N, D).
        truths: Shape (M, D).

    Returns:
        0 for equal moments, and more.

    Raises:
        InputError: The features differ in number, or a set has fewer than two images.
    """
    check_features(estimates, truths)
    root = _root(np.cov(estimates, rowvar=False).reshape(2 * (estimates.shape[1],)))
    other = np.cov(truths, rowvar=False).reshape(root.shape)
    # tr((A B)^(1/2)) is that of the symmetric A^(1/2) B A^(1/2), which has real eigenvalues.
    joint = np.linalg.eigvalsh(root @ other @ root)
    shift = estimates.mean(axis=0) - truths.mean(axis=0)
    traces = np.sum(root * root) + np.trace(other) - 2 * np.sqrt(np.maximum(joint, 0)).sum()
    return max(0.0, float(shift @ shift + traces))


def check_features(estimates: Features, truths: Features) -> None:
    """Refuse sets of features that cannot be compared.

    Raises:
        InputError: They are not (N, D) and (M, D) with N and M at least two.
    """
    shapes = estimates.shape, truths.shape
    if any(len(shape) != 2 or shape[0] < 2 for shape in shapes):
        raise InputError(
            f"sets of features of shapes {shapes[0]} and {shapes[1]} cannot be compared: pass (N, D) "
            "with two images or more each"
        )
    if shapes[0][1] != shapes[1][1]:
        raise InputError(
            f"features of {shapes[0][1]} and of {shapes[1][1]} numbers cannot be compared: use the "
            "same extractor for both sets"
        )


def _root(matrix: Features) -> Features:
    """The symmetric square root of a symmetric matrix without negative eigenvalues."""
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T)
