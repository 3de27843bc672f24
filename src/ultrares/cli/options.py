"""Options that several commands share, and how their text becomes values."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from ultrares.types import Mode, Precision


class Bounds(NamedTuple):
    """A rectangle in the units of a scene's coordinate reference system."""

    left: float
    bottom: float
    right: float
    top: float


def parse_bands(text: str | None) -> list[int | str] | None:
    """Turn ``"4,B03"`` into numbers and names."""
    return None if text is None else [band.strip() for band in text.split(",")]


def parse_bounds(text: str) -> Bounds:
    """Turn ``"LEFT BOTTOM RIGHT TOP"`` into a rectangle; commas separate as well as spaces.

    Raises:
        typer.BadParameter: The text is not four finite numbers that enclose an area.
    """
    try:
        bounds = Bounds(*(float(number) for number in text.replace(",", " ").split()))
    except (TypeError, ValueError):
        bounds = None
    if bounds is None or not all(map(math.isfinite, bounds)):
        raise typer.BadParameter(f'{text!r} is not "LEFT BOTTOM RIGHT TOP", four numbers')
    if bounds.left >= bounds.right or bounds.bottom >= bounds.top:
        raise typer.BadParameter(f"{text!r} is empty: LEFT must be below RIGHT, BOTTOM below TOP")
    return bounds


InputPath = Annotated[
    str,
    typer.Argument(
        metavar="IN", help="The scene: a file, a Sentinel-2 product, a URL or a /vsi path of GDAL."
    ),
]
"""A text, because a path would make one slash of the two in a URL."""
Subdataset = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Which raster of a container, such as 20m; or its number."),
]
Asset = Annotated[
    str | None,
    typer.Option(metavar="KEY", help="Which asset of a STAC item, or variable of a Zarr."),
]
Bands = Annotated[
    str | None,
    typer.Option(metavar="B,B,...", help="Which bands, by numbers from 1 or names such as B8A."),
]
OutputPath = Annotated[
    Path,
    typer.Argument(metavar="OUT", help="The file to write: .tif for a GeoTIFF, .zarr for a Zarr."),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace outputs that exist.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]

Scale = Annotated[
    float | None,
    typer.Option(help="Output pixels per input pixel, along one side: any number to 128."),
]
Gsd = Annotated[
    float | None,
    typer.Option(metavar="SIZE", help="Or the size of an output pixel, in units of the CRS."),
]
Like = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Or a raster whose grid the output shall lie on."),
]
ModelName = Annotated[
    str | None,
    typer.Option(
        help="A name from `ultrares models`, a folder, a hub id, or another network's file; the embedded one if left out."
    ),
]
PrecisionName = Annotated[
    Precision, typer.Option(help="How to convolve; auto is bf16 where the processor has it.")
]
Device = Annotated[
    str | None,
    typer.Option(help="Like cuda:1 or cpu; a GPU if there is one.", show_default=False),
]
ReferencePath = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="A finer image of the same place, to learn details from."),
]
ModeName = Annotated[Mode, typer.Option(help="The most probable scene, or one with drawn detail.")]
Draws = Annotated[int, typer.Option(min=1, help="Samples to average in perceptual mode.")]
UncertaintyPath = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Also write the standard deviation of the draws."),
]
EvidencePath = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Also write how much of the detail is invented."),
]
Steps = Annotated[
    int | None,
    typer.Option(min=1, help="Diffusion steps of each level; the model's own number if left out."),
]
Seed = Annotated[int, typer.Option(help="The same seed gives the same file.")]
Sensor = Annotated[str, typer.Option(help="How a pixel gathers light: box, bicubic or mtf:VALUE.")]
TileSide = Annotated[
    int | None,
    typer.Option(
        min=1, help="Output pixels a side that are written at once; by the memory if left out."
    ),
]
Memory = Annotated[
    str | None,
    typer.Option(metavar="SIZE", help="Memory to stay within, like 4GB; not limited if left out."),
]
Area = Annotated[
    Bounds | None,
    typer.Option(
        parser=parse_bounds,
        metavar='"LEFT BOTTOM RIGHT TOP"',
        help="The part of the scene to upscale, in the units of its CRS.",
    ),
]
