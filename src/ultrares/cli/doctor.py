"""``ultrares doctor``: is everything there that upscaling needs?"""

from __future__ import annotations

import typer

from ultrares.cli.console import complain, say_facts, say_json
from ultrares.cli.diagnosis import diagnose
from ultrares.cli.options import AsJson


def doctor(*, json: AsJson = False) -> None:
    """Show versions, hardware, raster drivers and whether the models are intact.

    Exits 1 when something essential is missing.
    """
    facts = diagnose()
    if json:
        say_json(facts)
    else:
        say_facts(facts)
    problems = facts["problems"]
    if problems:
        assert isinstance(problems, list)
        complain(f"upscaling will not work here: {'; '.join(problems)}")
        raise typer.Exit(1)
