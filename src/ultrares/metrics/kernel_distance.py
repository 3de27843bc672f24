"""How far two sets of images lie apart, as sets, without bias where they are small."""

from __future__ import annotations

import numpy as np

from ultrares.metrics.frechet import Features, check_features


def kid(estimates: Features, truths: Features) -> float:
    """Kernel distance of two sets of features: the unbiased squared maximum mean discrepancy.

    The kernel is (x . y / D + 1)^3 (Bińkowski et al., 2018), over all images at once instead of over
    random subsets, so that the figure has no randomness of its own.

    Args:
        estimates: Shape (N, D).
        truths: Shape (M, D).

    Returns:
        Its expectation is 0 for sets of one distribution, so that it can be a little below.

    Raises:
        InputError: The features differ in number, or a set has fewer than two images.
    """
    check_features(estimates, truths)
    within = _off_diagonal_mean(estimates) + _off_diagonal_mean(truths)
    return float(within - 2 * _kernel(estimates, truths).mean())


def _kernel(one: Features, other: Features) -> Features:
    return np.asarray((one @ other.T / one.shape[1] + 1) ** 3)


def _off_diagonal_mean(features: Features) -> float:
    kernel, count = _kernel(features, features), len(features)
    return float((kernel.sum() - np.trace(kernel)) / (count * (count - 1)))
