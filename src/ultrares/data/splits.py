"""Which images of a data set are tested on: drawn by their names, so that every machine draws the same."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

DIOR_LABELS = ("", "Horizontal Bounding Boxes", "Oriented Bounding Boxes")

Classes = Callable[[Path], Collection[str]]
"""Which classes of things an image shows."""


def drawn(paths: Sequence[Path], root: Path) -> list[Path]:
    """The files in a random order that depends on nothing but their names below ``root``.

    The first so many of it are therefore a sample, and part of every larger one.
    """

    def key(path: Path) -> str:
        return hashlib.sha256(path.relative_to(root).as_posix().encode()).hexdigest()

    return sorted(paths, key=key)


def per_class(paths: Sequence[Path], classes: Classes, count: int) -> list[Path]:
    """The first files that add to a class that lacks images yet, in their order; each file counts once.

    Files of no class are all kept where no file has any: then the annotations are not here.

    Args:
        paths: Files in the order they are drawn in.
        classes: Tells the classes of a file.
        count: Images of a class.
    """
    found = [(path, sorted(classes(path))) for path in paths]
    if not any(names for _, names in found):
        return list(paths)
    taken: Counter[str] = Counter()
    kept = []
    for path, names in found:
        lacking = [name for name in names if taken[name] < count]
        if lacking:
            # An image of several classes stands for the rarest of those that it would add to.
            taken[min(lacking, key=lambda name: (taken[name], name))] += 1
            kept.append(path)
    return kept


def dota_classes(path: Path) -> set[str]:
    """What DOTA's labels say an image shows: ``labelTxt/NAME.txt`` beside ``images``."""
    label = path.parent.with_name("labelTxt") / f"{path.stem}.txt"
    if not label.is_file():
        return set()
    cells = (line.split() for line in label.read_text(encoding="utf-8").splitlines())
    # Eight corner coordinates, the class, and how hard it is.
    return {line[8] for line in cells if len(line) >= 9}


def dior_classes(path: Path) -> set[str]:
    """What DIOR's labels say an image shows: ``NAME.xml`` in ``Annotations`` beside the folder of the image."""
    folder = path.parent.with_name("Annotations")
    for label in (folder / place / f"{path.stem}.xml" for place in DIOR_LABELS):
        if label.is_file():
            # A list of names is all that is wanted of a stranger's file: no parser, no entities.
            text = label.read_text(encoding="utf-8", errors="replace")
            found = (
                re.search(r"<name>([^<]+)</name>", part) for part in text.split("<object>")[1:]
            )
            return {name[1].strip() for name in found if name}
    return set()
