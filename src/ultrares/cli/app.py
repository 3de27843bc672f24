"""The ``ultrares`` command: where its subcommands are put together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

import ultrares
from ultrares.cli.benchmark import benchmark
from ultrares.cli.check import check
from ultrares.cli.console import say, sentences
from ultrares.cli.degrade import degrade
from ultrares.cli.doctor import doctor
from ultrares.cli.evaluate import evaluate
from ultrares.cli.info import info
from ultrares.cli.models import models
from ultrares.cli.plan import plan
from ultrares.cli.train import train
from ultrares.cli.upscale import upscale

app = typer.Typer(
    name="ultrares",
    help="Make remote-sensing scenes finer, with exact radiometry.",
    epilog="Exit status: 0 done, 1 failed with one sentence on stderr, 2 wrong usage, or a plan that does not fit.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (upscale, plan, check, evaluate, info, models, doctor, degrade, train, benchmark):
    app.command()(command)


def _print_version(asked: bool) -> None:  # noqa: FBT001 - the signature of an option's callback
    """Print the version and stop, if asked to."""
    if asked:
        say(f"ultrares {ultrares.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Make remote-sensing scenes finer, with exact radiometry."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit.

    Args:
        arguments: What follows the command's name; those of the process if None.

    Raises:
        SystemExit: Always: 0 done, 1 failed, 2 wrong usage, 130 interrupted, 143 terminated.
    """
    with sentences():
        app(args=arguments, prog_name="ultrares")


if __name__ == "__main__":
    main()
