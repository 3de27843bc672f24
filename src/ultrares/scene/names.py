"""What a source is called: in sentences and tags, without passwords, signatures or control characters."""

from __future__ import annotations

import re
from pathlib import Path

_URL = re.compile(r"\b([a-z][a-z0-9+.-]*://)([^\s/?#'\"]*@)?([^\s?#'\"]*)(\?[^\s'\"]*)?", re.I)
_VSI_OPTIONS = re.compile(r"(/vsi[a-z0-9_]+)\?[^\s'\"]*", re.I)
_PREFIX = re.compile(r"[A-Za-z][A-Za-z0-9_]+:")


def is_file_name(source: str | Path) -> bool:
    """Whether a source is the name of a file or folder, not a URL or another form that GDAL knows.

    A name that exists is one, whatever it looks like.
    """
    text = str(source)
    if isinstance(source, Path) or exists(text):
        return True
    return not ("://" in text or text.startswith(("/vsi", "<")) or _PREFIX.match(text))


def exists(source: str | Path) -> bool:
    """Whether there is a file or folder of a name; what cannot be a name does not exist."""
    try:
        return Path(source).exists()
    except (OSError, ValueError):
        # A URL with a signature is longer than a name may be.
        return False


def shown(source: str | Path) -> str:
    """How a source is called in a sentence."""
    text = str(source)
    return printable(text if exists(text) else without_secrets(text))


def short_name(source: str | Path) -> str:
    """The last part of a source's name, for a tag."""
    text = str(source)
    if not exists(text):
        text = without_secrets(text)
    return printable(text.rstrip("/").rsplit("/", 1)[-1])[:255]


def without_secrets(text: str) -> str:
    """A text in whose URLs user, password and query are left out."""
    text = _VSI_OPTIONS.sub(r"\1?...", text)
    return _URL.sub(lambda found: found[1] + found[3] + ("?..." if found[4] else ""), text)


def printable(text: str) -> str:
    """A text whose control characters and broken encodings are written out, safe for any terminal."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )
