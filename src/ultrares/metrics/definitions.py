"""What each figure means: its unit, which way is better, and how exactly it is computed."""

from __future__ import annotations

from typing import Literal, NamedTuple

Better = Literal["higher", "lower", "nearer 1", "neither"]


class Definition(NamedTuple):
    """The meaning of a figure.

    Attributes:
        unit: Empty for plain numbers; DN are digital numbers, the data's own units.
        better: Which way a result is better.
        text: How it is computed; words in braces are settings of the comparison.
    """

    unit: str
    better: Better
    text: str


DEFINITIONS = {
    "psnr": Definition("dB", "higher", "10 log10(peak^2 / MSE), all bands at once, peak {peak}"),
    "ssim": Definition(
        "",
        "higher",
        "Wang 2004: Gaussian 11 x 11 of std 1.5, K 0.01 and 0.03, peak {peak}, mean over bands and whole "
        "windows",
    ),
    "sam": Definition(
        "degrees", "lower", "mean angle between spectra; pixels without light are skipped"
    ),
    "sre": Definition("%", "lower", "100 |x^ - x| / |x|, norms over all bands and pixels"),
    "sre_db": Definition("dB", "higher", "10 log10(mean(x)^2 / MSE), Lanaras 2018"),
    "mae_dn": Definition("DN", "lower", "mean |x^ - x|"),
    "ergas": Definition(
        "", "lower", "100 / {scale} sqrt(mean over bands of MSE / mean(x)^2), Wald 2000"
    ),
    "ag": Definition(
        "DN", "neither", "mean sqrt((dx^2 + dy^2) / 2), forward differences, mean over bands"
    ),
    "ag_true": Definition("DN", "neither", "the truth's ag"),
    "ag_ratio": Definition("", "nearer 1", "ag / ag_true"),
    "ag_difference": Definition("DN", "lower", "|ag - ag_true|"),
    "histogram_distance": Definition(
        "DN", "lower", "Wasserstein-1 distance of the histograms, mean over bands"
    ),
    "mtf50": Definition(
        "cycles/pixel",
        "higher",
        "where Re(cross-spectrum with the truth) / (truth's power) falls below 1/2; squares of 64, Hann",
    ),
    "effective_pixel": Definition(
        "pixels", "nearer 1", "0.5 / mtf50: the pixel whose Nyquist frequency is mtf50"
    ),
    "seam": Definition(
        "",
        "nearer 1",
        "mean squared difference of neighbours across borders of tiles of {tile} pixels over that across "
        "other borders of blocks of {period}",
    ),
    "niqe": Definition(
        "",
        "lower",
        "Mittal 2013: 36 features of 96 x 96 squares, pristine model of {niqe}, BT.601 luminance, "
        "peak {peak}",
    ),
    "niqe_true": Definition("", "neither", "the truth's niqe"),
    "lpips": Definition(
        "",
        "lower",
        "Zhang 2018: AlexNet v0.1, first three bands, by area over squares of 960, peak {peak}",
    ),
    "lr_psnr": Definition(
        "dB", "higher", "PSNR of the result reduced by {sensor} against the input, peak {peak}"
    ),
    "fid": Definition(
        "", "lower", "Frechet distance of Gaussians fitted to {extractor} features, Heusel 2017"
    ),
    "kid": Definition(
        "", "lower", "unbiased squared MMD, kernel (x.y / D + 1)^3, of {extractor} features"
    ),
}


def define(name: str, settings: dict[str, str]) -> str:
    """What the figure of a name means, in one line.

    Args:
        name: A key of :data:`DEFINITIONS`, with ``_band_N`` behind it for the figure of one band.
        settings: What stands for the words in braces.
    """
    leader, _, band = name.partition("_band_")
    definition = DEFINITIONS[leader]
    text = definition.text.format_map(settings)
    return text.replace("mean over bands", f"band {band}") if band else text
