"""``ultrares degrade``: a coarser scene, as a sensor would have seen it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ultrares.cli.console import say
from ultrares.cli.options import (
    Asset,
    Bands,
    InputPath,
    Overwrite,
    Subdataset,
    parse_bands,
)
from ultrares.cli.start import quick_start


def degrade(
    source: InputPath,
    target: Annotated[Path, typer.Argument(metavar="OUT", help="The GeoTIFF to write.")],
    *,
    scale: Annotated[float, typer.Option(help="Input pixels per output pixel, along one side.")],
    sensor: Annotated[
        str, typer.Option(help="How a pixel gathers light: box, bicubic or mtf:VALUE.")
    ] = "bicubic",
    asset: Asset = None,
    subdataset: Subdataset = None,
    bands: Bands = None,
    overwrite: Overwrite = False,
) -> None:
    """Make a scene coarser, to try upscaling on a case with a known answer."""
    with quick_start():
        from ultrares import api
    from ultrares.scene.names import short_name

    report = api.degrade(
        source,
        target,
        scale=scale,
        sensor=sensor,
        asset=asset,
        subdataset=subdataset,
        bands=parse_bands(bands),
        overwrite=overwrite,
    )
    say(
        f"{report.target}  {report.width} x {report.height} px, "
        f"1/{scale:g} of {short_name(source)}, sensor {report.sensor}"
    )
