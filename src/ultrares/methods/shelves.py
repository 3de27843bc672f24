"""The shelves that a model's name is looked up on: folders of model folders, in a fixed order."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from platformdirs import user_cache_path

from ultrares.methods.weights import CONFIG

EMBEDDED = Path(__file__).parents[1] / "weights"
"""The models of the package itself."""

CHECKOUT = Path(__file__).parents[3]
"""What lies around the package, if it is run from a checkout."""

VARIABLE = "ULTRARES_MODELS"
"""Environment variable that lists more shelves, separated as in PATH."""


class Shelf(NamedTuple):
    """A folder whose folders may be models.

    Attributes:
        folder: It need not exist.
        words: Why it is looked at.
    """

    folder: Path
    words: str


def shelves() -> tuple[Shelf, ...]:
    """All shelves, the one that wins first; the package's own models cannot be replaced by others."""
    listed = (entry.strip() for entry in os.environ.get(VARIABLE, "").split(os.pathsep))
    checkout = [Shelf(CHECKOUT / "weights", "the checkout")]
    return (
        Shelf(EMBEDDED, "the package"),
        *(Shelf(Path(entry).expanduser(), VARIABLE) for entry in listed if entry),
        Shelf(user_cache_path("ultrares", appauthor=False) / "models", "your cache"),
        *(checkout if (CHECKOUT / "pyproject.toml").is_file() else []),
    )


def shelved(name: str | Path) -> Path | None:
    """The folder of a model on the first shelf that has it; None if none has."""
    if Path(name).name != str(name):
        # A path is no name, even where it leads to a shelf.
        return None
    folders = (shelf.folder / name for shelf in shelves())
    return next((folder for folder in folders if (folder / CONFIG).is_file()), None)


def all_shelved() -> list[Path]:
    """The folders of all models on the shelves, each name once."""
    found: dict[str, Path] = {}
    for shelf in shelves():
        for config in sorted(shelf.folder.glob(f"*/{CONFIG}")):
            found.setdefault(config.parent.name, config.parent)
    return list(found.values())
