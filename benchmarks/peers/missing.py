"""How a peer that is not here is reported: by the line to type, and never by a crash."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path


class MissingPeerError(Exception):
    """A peer cannot be used here; the message says what to install."""


def package_folder(module: str, line: str) -> Path:
    """Where a package lies, without importing it.

    Args:
        module: Name of the module.
        line: What to type where it is missing.

    Raises:
        MissingPeerError: It is not installed.
    """
    found = find_spec(module)
    if found is None or not found.submodule_search_locations:
        raise MissingPeerError(f"not installed: {line}")
    return Path(found.submodule_search_locations[0])
