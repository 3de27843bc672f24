"""Folders of results against folders of truths, as sets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ultrares.errors import InputError
from ultrares.evaluation.folders import Trio
from ultrares.evaluation.pair import Named, RasterPair
from ultrares.metrics.extractors import FeatureExtractor
from ultrares.metrics.frechet import Features, fid
from ultrares.metrics.kernel_distance import kid
from ultrares.metrics.patch import WIDE_SIDE
from ultrares.metrics.setting import levels
from ultrares.scene.choice import Choice
from ultrares.scene.opening import open_raster
from ultrares.scene.windows import tiles, whole


def set_distances(
    trios: Sequence[Trio],
    extractor: FeatureExtractor,
    *,
    peak: float | None = None,
    bands: tuple[str, ...] | None = None,
) -> tuple[dict[str, float], list[str]]:
    """Fréchet and kernel distance of the results from the truths.

    The members of the sets are the squares of 960 x 960 pixels that have data throughout, or whole images
    where they are smaller; of each its first three bands.

    Args:
        trios: The images.
        extractor: Turns an image into features.
        peak: Largest value the data can take; None is 255 for bytes, else the truth's range.
        bands: Which bands of the truths the results' are; None for all.

    Returns:
        The distances, their names with that of the extractor, and what a reader of them should know.

    Raises:
        InputError: Fewer than two squares can be compared.
        RasterError: A file is unreadable.
    """
    ours: list[Features] = []
    true: list[Features] = []
    for trio in trios:
        for one, other in _features(trio.estimate, trio.truth, extractor, peak, bands):
            ours.append(one)
            true.append(other)
    if len(ours) < 2:
        raise InputError(
            f"distances of sets need two squares of {extractor.minimum_side} pixels or more with data "
            f"throughout, and there are {len(ours)}"
        )
    estimates, truths = np.stack(ours), np.stack(true)
    distances = {
        f"fid[{extractor.name}]": fid(estimates, truths),
        f"kid[{extractor.name}]": kid(estimates, truths),
    }
    count, features = estimates.shape
    notes = [f"FID and KID rest on {extractor.name} features and compare only with their like"]
    if count <= features:
        notes.append(
            f"FID of {count} images in {features} features is biased upwards: read KID instead"
        )
    return distances, notes


def _features(
    estimate: Path,
    truth: Path,
    extractor: FeatureExtractor,
    peak: float | None,
    bands: tuple[str, ...] | None,
) -> Iterator[tuple[Features, Features]]:
    with open_raster(estimate) as one, open_raster(truth, choice=Choice(bands=bands)) as other:
        pair = RasterPair(Named(str(estimate), one), Named(str(truth), other))
        if pair.bands < 3:
            raise InputError(
                f"{estimate} has {pair.bands} bands: features need red, green and blue"
            )
        floor, span = levels(peak, pair.extent())
        for window in tiles(whole(pair.shape), WIDE_SIDE):
            if min(window.height, window.width) < extractor.minimum_side:
                continue
            pixels = pair.read(window)
            if bool(pixels.valid.all()):
                yield (
                    extractor((pixels.estimate[:3] - floor) / span),
                    extractor((pixels.truth[:3] - floor) / span),
                )
