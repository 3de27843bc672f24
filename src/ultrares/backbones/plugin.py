"""What was read from a file: a backbone and how its file calls itself."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from ultrares.backbones.wrap import Backbone
from ultrares.errors import MissingExtraError


class Plugin(NamedTuple):
    """A backbone from a file.

    Attributes:
        backbone: Ready to use, on the CPU.
        kind: The format, and the architecture where it is known, in words.
    """

    backbone: Backbone
    kind: str


def needed(module: str, path: Path) -> ModuleType:
    """Import a package that only foreign files need.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"reading {path} needs {module}: pip install 'ultrares[plugins]'"
        ) from error
