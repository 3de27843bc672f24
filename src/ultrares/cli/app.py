"""The ``ultrares`` command: where its subcommands are put together."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated

import typer

import ultrares
from ultrares.cli.console import say, sentences

COMMANDS = (
    "upscale",
    "plan",
    "check",
    "evaluate",
    "info",
    "models",
    "doctor",
    "degrade",
    "train",
    "benchmark",
)
"""The subcommands, each in a module of its name."""


def app_for(arguments: Sequence[str]) -> typer.Typer:
    """The command line with the subcommand that is called, or with all of them if none is.

    Args:
        arguments: What follows the command's name.
    """
    app = typer.Typer(
        name="ultrares",
        help="Make remote-sensing scenes finer, with exact radiometry.",
        epilog="Exit status: 0 done, 1 failed with one sentence on stderr, 2 wrong usage, or a plan that does not fit.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    called = [name for name in COMMANDS if name in arguments[:1]]
    for name in called or COMMANDS:
        app.command()(getattr(import_module(f"ultrares.cli.{name}"), name))
    app.callback()(_root)
    return app


def _print_version(asked: bool) -> None:  # noqa: FBT001 - the signature of an option's callback
    """Print the version and stop, if asked to."""
    if asked:
        say(f"ultrares {ultrares.__version__}")
        raise typer.Exit


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
        given = sys.argv[1:] if arguments is None else arguments
        app_for(given)(args=given, prog_name="ultrares")


if __name__ == "__main__":
    main()
