"""``ultrares check``: does a finer scene keep what it owes to the one it was made from?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ultrares.cli.console import complain, say, say_facts, say_json
from ultrares.cli.options import AsJson
from ultrares.cli.start import quick_start


def check(
    fine: Annotated[Path, typer.Argument(metavar="SR", help="The finer scene.")],
    coarse: Annotated[str, typer.Argument(metavar="LR", help="The scene it was made from.")],
    *,
    json: AsJson = False,
) -> None:
    """Compare footprint, radiometry and mask of a finer scene with its source.

    Exits 1 when a problem is found.
    """
    with quick_start():
        from ultrares import api

    report = api.check(fine, coarse)
    facts = report.to_dict()
    if json:
        say_json(facts)
    else:
        shown = {name: fact for name, fact in facts.items() if name not in ("ok", "problems")}
        # Where two files do not fit, most was not compared.
        compared = {name: fact for name, fact in shown.items() if fact is not None}
        say_facts(shown if report.ok else compared)
        for problem in report.problems:
            say(f"problem: {problem}")
        if report.ok:
            say(f"ok: {fine} is true to {coarse}")
    if not report.ok:
        count = "1 problem" if len(report.problems) == 1 else f"{len(report.problems)} problems"
        complain(f"{fine} is not true to {coarse}: {count} found")
        raise typer.Exit(1)
