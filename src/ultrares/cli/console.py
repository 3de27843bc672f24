"""What the command line says: results on stdout, and every failure as one sentence on stderr."""

from __future__ import annotations

import json
import logging
import math
import os
import signal
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn, TextIO

import typer

from ultrares.errors import UltraresError


def say(text: str) -> None:
    """Write a line of the result to stdout."""
    typer.echo(_harmless(text))


def say_json(value: Mapping[str, object] | list[dict[str, Any]]) -> None:
    """Write the result to stdout as JSON; what JSON lacks (paths, NaN, infinity) becomes text, as in gdalinfo."""
    typer.echo(json.dumps(_storable(value), indent=2, default=str, allow_nan=False))


def _storable(value: object) -> object:
    """A value without numbers that JSON has no way to write."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "inf" if value > 0 else "-inf"
    if isinstance(value, Mapping):
        return {name: _storable(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_storable(entry) for entry in value]
    return value


def say_facts(facts: Mapping[str, object]) -> None:
    """Write names and values to stdout, one a line, the values aligned."""
    width = max((len(name) for name in facts), default=0)
    for name, value in facts.items():
        say(f"{name.replace('_', ' '):<{width}}  {in_words(value)}")


def in_words(value: object) -> str:
    """A value as a person reads it; short for floats, "none" for nothing."""
    if value is None or value in ([], (), {}):
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.10g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {in_words(entry)}" for name, entry in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(in_words(entry) for entry in value)
    return str(value)


def complain(sentence: str) -> None:
    """Write one sentence to stderr, whatever line breaks it came with."""
    typer.echo(_harmless(f"ultrares: {' '.join(sentence.split())}"), err=True)


def _harmless(text: str) -> str:
    """A text whose control characters, which rasters and file names may hold, do nothing to a terminal."""
    return "".join(
        letter
        if letter.isprintable() or letter == "\n"
        else letter.encode("unicode_escape").decode()
        for letter in text
    )


class Stopped(SystemExit):
    """A run that was asked to end, and what has become of its work.

    Args:
        number: The signal's.
        sentence: What to tell the user.
    """

    def __init__(self, number: int, sentence: str) -> None:
        super().__init__(128 + number)
        self.sentence = sentence


class _Notes(logging.Handler):
    """Says on stderr what the library logs."""

    def emit(self, record: logging.LogRecord) -> None:
        complain(record.getMessage())


@contextmanager
def _notes_on_stderr() -> Iterator[None]:
    """Show what the Python face notes by the way while the block runs."""
    logger, notes = logging.getLogger("ultrares.api"), _Notes()
    level = logger.level
    logger.addHandler(notes)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(notes)
        logger.setLevel(level)


@contextmanager
def sentences() -> Iterator[None]:
    """Turn every exception into one sentence on stderr and an exit status.

    With the environment variable ``ULTRARES_DEBUG`` set to 1, failures keep their traceback.

    Raises:
        SystemExit: 1 after a failure, 130 after Ctrl-C, 143 after a request to terminate.
    """
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        with warnings.catch_warnings(), _notes_on_stderr():
            warnings.showwarning = _show_warning
            yield
    except Stopped as stop:
        complain(stop.sentence)
        raise
    except SystemExit as stop:
        # typer turns Ctrl-C inside a command into this status, without a word
        if stop.code == 130:
            complain("interrupted")
        raise
    except KeyboardInterrupt:
        complain("interrupted")
        raise SystemExit(130) from None
    except Exception as error:
        if os.environ.get("ULTRARES_DEBUG") == "1":
            raise
        complain(_sentence(error))
        raise SystemExit(1) from None
    finally:
        signal.signal(signal.SIGTERM, before)
        if sys.stderr is not None:  # as it is where a process is started without
            sys.stderr.flush()


def _sentence(error: Exception) -> str:
    """What to tell the user about a failure; our own errors are sentences already."""
    if isinstance(error, UltraresError):
        return str(error)
    if isinstance(error, MemoryError):
        return "there is not enough memory: pass a smaller --tile or --memory"
    return (
        f"unexpected {type(error).__name__}: {str(error).rstrip('.')}; this is a bug, please report it "
        "with your command to the issue tracker of ultrares (ULTRARES_DEBUG=1 shows the traceback)"
    )


def _show_warning(
    message: Warning | str,
    category: type[Warning],  # noqa: ARG001
    filename: str,  # noqa: ARG001
    lineno: int,  # noqa: ARG001
    file: TextIO | None = None,  # noqa: ARG001
    line: str | None = None,  # noqa: ARG001
) -> None:
    """Show a warning as one sentence; takes the place of ``warnings.showwarning``."""
    complain(f"warning: {message}")


def _terminate(number: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001 - signal's form
    """Leave through the ``finally`` blocks, so that no half-written file stays behind."""
    raise SystemExit(128 + number)
