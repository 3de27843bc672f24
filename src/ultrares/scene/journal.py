"""Which tiles of a product are finished: an append-only file that survives any end of its writer."""

from __future__ import annotations

import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import IO, Self

from ultrares.types import Window


class Journal:
    """The finished windows of a product, each with a mark by which its pixels can be told to be whole.

    A line is ``row col height width mark checksum``. One that was cut short, or that a disk has changed,
    does not fit its checksum and counts as not written. Of several lines about a window the last holds.

    Args:
        path: The file; it is created if it is not there.

    Raises:
        OSError: It cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        self._marks = dict(_read(path)) if path.exists() else {}
        self._file: IO[bytes] = path.open("ab", buffering=0)
        # Whatever a killed writer left of a line must not spoil the next one.
        if self._file.tell():
            self._append(b"\n")

    @property
    def finished(self) -> Mapping[Window, str]:
        """The finished windows and their marks."""
        return MappingProxyType(self._marks)

    def record(self, window: Window, mark: str) -> None:
        """Note that a window is finished; when this returns, the note is on the disk.

        Args:
            window: The window.
            mark: Anything without blanks.

        Raises:
            OSError: The disk is full or failing; the window counts as unfinished.
        """
        text = " ".join((*map(str, window), mark))
        self._append(f"{text} {_checksum(text)}\n".encode())
        os.fsync(self._file.fileno())
        self._marks[window] = mark

    def forget(self, window: Window) -> None:
        """Take a window for unfinished from now on."""
        self._marks.pop(window, None)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _append(self, data: bytes) -> None:
        """Write all of it, for an unbuffered file may take less."""
        while data:
            data = data[self._file.write(data) :]

    def __enter__(self) -> Self:
        """Return the journal itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file."""
        self.close()


def _read(path: Path) -> list[tuple[Window, str]]:
    """All lines that fit their checksums, in the order in which they were written."""
    found = []
    for line in path.read_bytes().decode(errors="replace").split("\n"):
        text, _, checksum = line.rpartition(" ")
        if text and checksum == _checksum(text):
            *numbers, mark = text.split(" ")
            found.append((Window(*map(int, numbers)), mark))
    return found


def _checksum(text: str) -> str:
    return f"{zlib.crc32(text.encode()):08x}"
