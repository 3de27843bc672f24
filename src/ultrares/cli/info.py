"""``ultrares info``: what a raster or a model is, as ultrares sees it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ultrares.backbones.formats import is_foreign
from ultrares.cli.console import say_facts, say_json
from ultrares.cli.options import AsJson


def info(
    subject: Annotated[
        str,
        typer.Argument(metavar="FILE|MODEL", help="A raster, or a model's name, file or folder."),
    ],
    *,
    json: AsJson = False,
) -> None:
    """Describe a raster and what upscale would refuse in it, or show a model's card."""
    from ultrares import api

    describe = api.describe_raster if looks_like_a_raster(subject) else api.describe_model
    facts = describe(subject)
    if json:
        say_json(facts)
    else:
        say_facts(facts)


def looks_like_a_raster(subject: str) -> bool:
    """Whether a text means a file; the names of models have no suffix made of letters."""
    path = Path(subject)
    if path.is_dir() or is_foreign(path):
        return False
    return path.exists() or path.suffix[1:2].isalpha() or subject.startswith("/vsi")
