"""Bands marked as alpha that may well show light: GDAL marks the fourth of four bytes so, whatever it shows."""

from __future__ import annotations

import numpy as np

from ultrares.scene.opening import Raster

DOUBTFUL_SHARE = 0.5
"""Share of pixels that are neither transparent nor opaque from which alpha is doubted: a feathered edge has few."""


def doubt_about_alpha(scene: Raster) -> str | None:
    """What to say of a band that is taken for alpha and looks like light; None where nothing is to be said.

    Raises:
        RasterError: The scene cannot be read.
    """
    alpha = np.flatnonzero(scene.profile.alpha)
    if not alpha.size:
        return None
    pixels, _ = scene.sample()
    for band in alpha.tolist():
        values = pixels[band]
        share = float(((values > 0) & (values < values.max())).mean())
        if share > DOUBTFUL_SHARE:
            return (
                f"band {band + 1} is marked as alpha and taken for a mask, but {share:.0%} of its pixels are neither "
                "transparent nor opaque; if it shows light, near infrared say, name it with the others, as in "
                "--bands 1,2,3,4"
            )
    return None
