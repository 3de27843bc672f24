"""What tells whether a file is the one that it was."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path

from ultrares.scene.names import shown
from ultrares.scene.radiometry import Radiometry

LOOKED_AT = 256 << 10
"""Bytes that are hashed at the beginning, in the middle and at the end of a file."""


def identity_of(path: str | Path, name: str = "source") -> dict[str, str]:
    """A file's place, size, time of change, and a hash of parts of it, in words.

    Of what is no regular file (a folder, a URL, a ``/vsi`` path) only the place is told.

    Args:
        path: Where it is.
        name: What it is called in the result's keys.

    Raises:
        OSError: It cannot be read.
    """
    file = Path(path)
    if not file.is_file():
        # Signatures change, and belong in no file.
        return {name: shown(path)}
    stat = file.stat()
    changed = datetime.fromtimestamp(stat.st_mtime_ns // 10**9, UTC)
    return {
        name: str(file.resolve()),
        f"{name} size": str(stat.st_size),
        f"{name} changed": f"{changed:%Y-%m-%dT%H:%M:%S}.{stat.st_mtime_ns % 10**9:09d}Z",
        f"{name} content": _hash_of_parts(file, stat.st_size),
    }


def identity_of_radiometry(radiometry: Radiometry) -> str:
    """A hash of a scene's range: a look at the whole scene, however it is stored."""
    digest = hashlib.blake2s(digest_size=8)
    for array in (radiometry.lit, radiometry.low, radiometry.high, radiometry.fill):
        digest.update(array.tobytes())
    digest.update(repr(radiometry.bounds).encode())
    return digest.hexdigest()


def _hash_of_parts(file: Path, size: int) -> str:
    digest = hashlib.blake2s(digest_size=8)
    with file.open("rb") as handle:
        for start in (0, (size - LOOKED_AT) // 2, size - LOOKED_AT):
            handle.seek(max(0, start))
            digest.update(handle.read(LOOKED_AT))
    return digest.hexdigest()
