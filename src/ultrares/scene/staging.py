"""Where a product lies until it is published: a locked folder beside it that outlives its writer."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import warnings
import zlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

from ultrares.errors import OutputError
from ultrares.scene.journal import Journal
from ultrares.scene.zarr_layout import is_zarr
from ultrares.types import Window

FORMAT = 1
"""Changes when a folder of an older version can no longer be gone on with."""

_JOB, _LOCK, _HOLDER, _VERIFIED = "job.json", "lock", "holder.json", "verified.json"


class Staging:
    """A hidden folder beside a target with what is finished of it, held by one process at a time.

    It contains ``job.json`` (what determines the pixels), ``journal`` (which tiles are finished), ``tiles/``
    (a file each, with their pixels or with what tells that those are whole) and the product before it gets
    its name. Nothing in it is believed unless it fits the journal's hash.

    Args:
        target: The product's path.
        job: All that the pixels depend on, in words; a folder that was begun with another one is refused.
            None is a job that nobody can go on with: its folder goes when it is closed.
        tile: Side of the tiles that are stored.
        restart: Throw away what an earlier run left.

    Attributes:
        folder: The folder.
        tile: Side of the tiles that are stored: the one that the job was begun with.

    Raises:
        OutputError: Another process holds it, it belongs to another job, or the disk cannot be written.
    """

    def __init__(
        self,
        target: str | Path,
        job: Mapping[str, str] | None = None,
        *,
        tile: int = 0,
        restart: bool = False,
    ) -> None:
        self.target = Path(target)
        self.tile = tile
        self._job = None if job is None else dict(job)
        self.folder = staging_folder(self.target)
        if job is None:
            token = secrets.token_hex(4)
            self.folder = self.target.with_name(f".{self.target.name}.{token}.part")
        self._lock = self._locked()
        try:
            self.put_back()
            if restart:
                self._clear()
            self._begin()
            self._journal = Journal(self.folder / "journal")
        except OSError as error:
            if not isinstance(error, OutputError):
                self._leave(empty=True)
                raise OutputError(unwritable(self.target, str(error.strerror))) from error
            self._leave()
            raise
        self._check_tiles()

    @property
    def finished(self) -> Mapping[Window, str]:
        """The stored windows and their marks."""
        return self._journal.finished

    @property
    def resumable(self) -> bool:
        """Whether the folder stays when the run ends early."""
        return self._job is not None and bool(self.finished)

    @property
    def product(self) -> Path:
        """Where the product is made, on the file system of the target."""
        return self.folder / f"product{'.zarr' if is_zarr(self.target) else '.tif'}"

    @property
    def replaced(self) -> Path:
        """Where what the product replaces is kept until all is published."""
        return self.folder / "replaced"

    def path(self, window: Window) -> Path:
        """The file of a tile; those of a row share a folder, for file systems that are slow with many."""
        kind = "tile" if is_zarr(self.target) else "tif"
        return self.folder / "tiles" / f"{window.row}" / f"{window.col}.{kind}"

    def store(self, window: Window, data: bytes, mark: str) -> None:
        """Keep a tile: when this returns, it is on the disk and in the journal.

        Args:
            window: Its place.
            data: Its file.
            mark: What else shall be remembered of it, without blanks or colons.

        Raises:
            OSError: The disk is full or failing; the tile counts as unfinished.
        """
        path = self.path(window)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            _write(path, data)
        except OSError:
            with suppress(OSError):
                path.unlink()
            raise
        self._journal.record(window, f"{zlib.crc32(data):08x}:{mark}")

    def mark(self, window: Window) -> str:
        """What was remembered of a tile."""
        return self.finished[window].partition(":")[2]

    def forget(self, window: Window) -> None:
        """Take a tile for unfinished: what its file tells of is not whole."""
        self._journal.forget(window)

    @property
    def kept(self) -> str:
        """What is not lost when the disk is full, as the end of a sentence for whoever makes room."""
        if not self.resumable:
            return ""
        count = len(self.finished)
        return f", {count} finished tiles are kept, and the same command goes on with them"

    def put_back(self) -> None:
        """Give a folder that was to be replaced its name again, if what replaces it did not get it.

        A file is replaced in one step, a folder in two, between which its writer can be killed.
        """
        if is_zarr(self.target) and not os.path.lexists(self.target):
            with suppress(FileNotFoundError):
                self.replaced.rename(self.target)

    def verify(self) -> None:
        """Note that the product, as it lies there now, was read back and is right.

        Raises:
            OSError: The disk is full or failing.
        """
        sync(self.product)
        _write(self.folder / _VERIFIED, json.dumps(_looks(self.product)).encode())
        sync(self.folder)

    @property
    def verified(self) -> bool:
        """Whether a verified product lies here."""
        return _is_verified(self.folder, self.product)

    @property
    def published(self) -> bool:
        """Whether the target is this job's product, because a run ended between its last two steps."""
        return _is_verified(self.folder, self.target)

    def close(self) -> None:
        """Let go of the folder; it stays if somebody can go on with it."""
        self._journal.close()
        with suppress(OSError):
            self.put_back()
        self._leave(empty=self.published or not self.resumable)

    def __enter__(self) -> Self:
        """Return the staging itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let go of the folder."""
        self.close()

    def _locked(self) -> BaseFileLock:
        try:
            self.folder.mkdir(exist_ok=True)
            lock = _acquired(self.folder / _LOCK)
            holder = {"pid": os.getpid(), "host": socket.gethostname()}
            # What is only said to others must not fail for want of room.
            with suppress(OSError):
                (self.folder / _HOLDER).write_text(json.dumps(holder))
        except Timeout:
            raise OutputError(
                f"{self.target} is being made by {_holder(self.folder)}; wait until that has ended, or choose "
                "another name"
            ) from None
        except OSError as error:
            with suppress(OSError):
                self.folder.rmdir()
            raise OutputError(unwritable(self.target, str(error.strerror))) from error
        return lock

    def _begin(self) -> None:
        """Take over what an earlier run of the job left, or note what is begun."""
        file = self.folder / _JOB
        found = _read_json(file)
        if found is None or found.get("format") != FORMAT or self._job is None:
            self._clear()
        elif found["job"] != self._job:
            self._refuse(found["job"])
        else:
            self.tile = found["tile"]
            return
        begun = {"format": FORMAT, "tile": self.tile, "job": self._job}
        _write(file, json.dumps(begun, indent=1).encode())

    def _refuse(self, other: Mapping[str, str]) -> None:
        if self.published:
            # All that the earlier run left undone is to tidy up.
            self._clear()
            self._begin()
            return
        assert self._job is not None
        changes = [
            f"{name} {other.get(name, 'none')}, now {self._job.get(name, 'none')}"
            for name in sorted({*other, *self._job})
            if other.get(name) != self._job.get(name)
        ]
        raise OutputError(
            f"{self.target} was begun otherwise ({'; '.join(changes)}): repeat that command to go on with it, "
            "or pass --restart to throw away what is finished of it"
        )

    def _check_tiles(self) -> None:
        """Forget the tiles whose files are missing or do not fit the journal."""
        for window, mark in list(self.finished.items()):
            try:
                whole = (
                    f"{zlib.crc32(self.path(window).read_bytes()):08x}" == mark.partition(":")[0]
                )
            except OSError:
                whole = False
            if not whole:
                self._journal.forget(window)

    def _clear(self) -> None:
        """Remove everything but the lock."""
        for entry in self.folder.iterdir():
            if entry.name == _HOLDER or entry.name.startswith(_LOCK):
                continue
            if entry.is_dir():
                shutil.rmtree(entry, ignore_errors=True)
            else:
                with suppress(OSError):
                    entry.unlink()

    def _leave(self, *, empty: bool = False) -> None:
        """Let go of the folder, and remove it if nothing in it shall stay.

        Another process that waits for the lock may have opened its file already; that finds it gone.
        """
        with suppress(OSError):
            (self.folder / _HOLDER).unlink(missing_ok=True)
            if empty:
                self._clear()
                (self.folder / _LOCK).unlink(missing_ok=True)
        self._lock.release()
        if empty:
            with suppress(OSError):
                self.folder.rmdir()


def staging_folder(target: Path) -> Path:
    """Where the unfinished parts of a target lie."""
    return target.with_name(f".{target.name}.ultrares")


def is_published(target: str | Path) -> bool:
    """Whether a target is the verified product of a run that ended before it could tidy up."""
    path = Path(target)
    return _is_verified(staging_folder(path), path)


def unwritable(target: Path, reason: str) -> str:
    """The sentence about a target for which the disk is full or failing."""
    folder = target.parent
    free = shutil.disk_usage(folder).free
    return (
        f"{target} cannot be written: {reason} ({free / 1e6:.0f} MB are free in {folder}); nothing was "
        "published"
    )


def sync(path: Path) -> None:
    """Bring a file or a folder to the disk, where the system can."""
    with suppress(PermissionError, IsADirectoryError):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _acquired(path: Path) -> BaseFileLock:
    """A lock without waiting; of its own making where the file system has none.

    Raises:
        Timeout: Another process holds it.
    """
    lock: BaseFileLock = FileLock(path, timeout=0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            lock.acquire()
    except Timeout:
        raise
    except OSError:
        lock = SoftFileLock(path.with_name(f"{path.name}.soft"), timeout=0)
        lock.acquire()
    return lock


def _holder(folder: Path) -> str:
    found = _read_json(folder / _HOLDER) or {}
    if "pid" not in found:
        return "another process"
    return f"process {found['pid']} on {found.get('host', 'an unknown host')}"


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _looks(path: Path) -> list[int]:
    """What tells a product from every other, and stays when it gets another name."""
    # Of a Zarr it is the file that is written last.
    stat = (path / "zarr.json" if path.is_dir() else path).stat()
    return [stat.st_ino, stat.st_size, stat.st_mtime_ns]


def _is_verified(folder: Path, path: Path) -> bool:
    try:
        return bool(json.loads((folder / _VERIFIED).read_bytes()) == _looks(path))
    except (OSError, ValueError):
        return False
