"""What appears under its name in one step: which names are refused, and how several results appear together."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

from ultrares.errors import OutputError
from ultrares.scene.names import exists, shown
from ultrares.scene.zarr_sink import check_folder

LONGEST_NAME = 220
"""Bytes of the name of a result; file systems allow 255, and staging folders add theirs."""


def check_target(source: str | Path, target: str | Path, *, overwrite: bool) -> None:
    """Refuse a target that cannot or must not be written, before any work is done.

    Raises:
        OutputError: It exists, is the source, or its folder is missing or not writable.
    """
    path = Path(target)
    _check_name(path)
    try:
        path.lstat()
    except OSError as error:
        if not isinstance(error, FileNotFoundError | NotADirectoryError):
            raise OutputError(f"{target} cannot be written: {error.strerror}") from error
    if path.is_dir():
        check_folder(path)
    if path.exists() and exists(source) and path.samefile(source):
        raise OutputError(f"{target} is the input itself; choose another name for the output")
    if (path.exists() or path.is_symlink()) and not overwrite:
        raise OutputError(f"{target} exists; pass --overwrite to replace it")
    folder = path.parent
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise OutputError(f"{target} cannot be written: folder {folder} {what}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"{target} cannot be written: folder {folder} is not writable")


def _check_name(path: Path) -> None:
    """Refuse what GDAL or the file system cannot write: staging files have longer names."""
    try:
        length = len(path.name.encode("utf-8"))
    except UnicodeEncodeError:
        length = LONGEST_NAME + 1
    if "\0" in str(path) or length > LONGEST_NAME:
        raise OutputError(
            f"{shown(path)} cannot be written: its name must be UTF-8 of at most {LONGEST_NAME} bytes"
        )


class Publishable(Protocol):
    """What appears under its name in one step, and can be taken back."""

    def prepare(self) -> None:
        """Finish it, so that nothing but its name is missing."""

    def keep_replaced(self) -> None:
        """Keep what publishing will replace."""

    def publish(self) -> None:
        """Give it its name."""

    def withdraw(self) -> None:
        """Take it back, and put back what it replaced."""


def commit_together(*sinks: Publishable) -> None:
    """Publish results that belong together: all of them, or none.

    All are finished and read back before the first gets its name; what remains is a rename each. The last
    is the one whose presence says that the rest is there, too.

    Args:
        sinks: In the order in which their results appear.

    Raises:
        OutputError: One of them cannot be published; those before it were taken back.
    """
    for sink in sinks:
        sink.prepare()
    try:
        for sink in sinks:
            sink.keep_replaced()
            sink.publish()
    except BaseException:
        for sink in sinks:
            sink.withdraw()
        raise


def rename_to_new(staging: Path, target: Path) -> None:
    """Give a file a name that must not exist yet."""
    try:
        os.link(staging, target)
    except FileExistsError:
        raise
    except OSError:
        # No hard links on this file system. An empty file that claims the name would pass for a result if
        # the process ended now, so a moment remains in which somebody else's would be replaced.
        if os.path.lexists(target):
            raise FileExistsError(target) from None
        staging.replace(target)
    else:
        staging.unlink()
