"""Options that several commands share, and how their text becomes values."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, NamedTuple

import typer


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
Bands = Annotated[
    str | None,
    typer.Option(metavar="B,B,...", help="Which bands, by numbers from 1 or names such as B8A."),
]
OutputPath = Annotated[Path, typer.Argument(metavar="OUT", help="The file to write.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace outputs that exist.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
