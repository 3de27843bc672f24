"""``ultrares info``: what a raster or a model is, as ultrares sees it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ultrares.backbones.formats import is_foreign
from ultrares.cli.console import say_facts, say_json
from ultrares.cli.options import AsJson, Asset, Bands, Subdataset, parse_bands
from ultrares.cli.start import quick_start


def info(
    subject: Annotated[
        str,
        typer.Argument(metavar="FILE|MODEL", help="A raster, or a model's name, file or folder."),
    ],
    *,
    asset: Asset = None,
    subdataset: Subdataset = None,
    bands: Bands = None,
    json: AsJson = False,
) -> None:
    """Describe a raster and what upscale would refuse in it, or show a model's card."""
    with quick_start():
        from ultrares import api

    if looks_like_a_raster(subject):
        facts = api.describe_raster(
            subject, asset=asset, subdataset=subdataset, bands=parse_bands(bands)
        )
    else:
        facts = api.describe_model(subject)
    if json:
        say_json(facts)
    else:
        say_facts(facts)


def looks_like_a_raster(subject: str) -> bool:
    """Whether a text means a file; the names of models have no suffix made of letters."""
    path = Path(subject)
    if path.is_dir():
        return path.suffix.lower() in (".safe", ".zarr")
    if subject.startswith("/vsi") or "://" in subject:
        return True
    return not is_foreign(path) and (path.exists() or path.suffix[1:2].isalpha())
