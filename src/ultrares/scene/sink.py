"""Where pixels go: a cloud-optimised GeoTIFF that appears whole or not at all, or an array."""

from __future__ import annotations

import math
import os
import secrets
import shutil
import warnings
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

import numpy as np
import rasterio
import rasterio.shutil
from rasterio._err import CPLE_BaseError
from rasterio.crs import CRS
from rasterio.enums import ColorInterp
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetWriter

from ultrares.errors import OutputError
from ultrares.scene.names import exists, shown
from ultrares.scene.profile import SceneProfile
from ultrares.scene.source import raster_window
from ultrares.scene.statistics import Statistics, Tally
from ultrares.scene.zarr_sink import check_folder, storable
from ultrares.types import Shape, Window

T = TypeVar("T")

# What GDAL says while a dataset is closed on a full disk passes through rasterio unwrapped.
_FAILURES = (RasterioError, CPLE_BaseError, OSError)

LONGEST_NAME = 220
"""Bytes of the name of a result; file systems allow 255, and staging files add theirs."""

BLOCK = 512
BLOCK_CACHE = 256 << 20
"""Bytes that GDAL may keep of decoded blocks; rasterio counts bytes where GDAL guesses the unit."""

# Without PAM nothing is written beside the file, where a rename would lose it.
_ENVIRONMENT: dict[str, Any] = {
    "GDAL_PAM_ENABLED": "NO",
    "GDAL_TIFF_INTERNAL_MASK": "YES",
    "GDAL_CACHEMAX": BLOCK_CACHE,
}


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
        raise OutputError(f"{target} cannot be written: folder {folder} does not exist")
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


class CogSink:
    """A cloud-optimised GeoTIFF with overviews, written window by window.

    Pixels go to a hidden staging file beside the target. :meth:`commit` turns it into a COG, reads that
    back whole, compares it with what was written, and only then gives it the target's name.

    Args:
        target: Path of the result.
        profile: Size, type, place and metadata of the result.
        tags: More metadata, for provenance.
        overwrite: Whether the target may be replaced.

    Raises:
        OutputError: Something cannot be written, now or later.
    """

    def __init__(
        self,
        target: str | Path,
        profile: SceneProfile,
        tags: Mapping[str, str] | None = None,
        *,
        overwrite: bool = False,
    ) -> None:
        self._target = Path(target)
        self._profile = profile
        self._overwrite = overwrite
        token = secrets.token_hex(4)
        self._staging = self._target.with_name(f".{self._target.name}.{token}.part")
        self._cog = self._target.with_name(f".{self._target.name}.{token}.cog.part")
        self._replaced = self._target.with_name(f".{self._target.name}.{token}.old.part")
        self._written: list[tuple[Window, int]] = []
        self._tallies = [Tally() for _ in profile.bands]
        self._environment = rasterio.Env(**_ENVIRONMENT)
        self._environment.__enter__()
        try:
            self._dataset = self._guarded(lambda: self._create(dict(tags or {})))
        except BaseException:
            self._discard()
            raise

    @property
    def target(self) -> Path:
        """Path of the result."""
        return self._target

    @property
    def statistics(self) -> list[Statistics | None]:
        """What each band's valid pixels are like, of all that was written; None where there is none."""
        return [tally.statistics() for tally in self._tallies]

    @property
    def finished(self) -> Path:
        """Where the result is, complete, between :meth:`prepare` and :meth:`publish`."""
        return self._cog

    def write(self, window: Window, array: np.ndarray, valid: np.ndarray) -> None:
        """Store pixels (C, h, w) and their validity at a window of the result."""

        def store() -> None:
            self._dataset.write(array, window=raster_window(window))
            if self._profile.masked:
                mask = valid.any(axis=0).astype(np.uint8) * np.uint8(255)
                self._dataset.write_mask(mask, window=raster_window(window))

        self._guarded(store)
        self._written.append((window, self._checksum(array, valid)))
        for tally, band, usable in zip(self._tallies, array, valid, strict=True):
            tally.add(band, usable)

    def commit(self) -> None:
        """Make the COG, read it back, and publish it under the target's name.

        Raises:
            OutputError: The disk is full, the read-back differs, or the target appeared meanwhile.
        """
        self.prepare()
        self.publish()

    def prepare(self) -> None:
        """Make the COG and read it back, so that nothing but its name is missing.

        Raises:
            OutputError: The disk is full, or the read-back differs.
        """
        self._guarded(self._store_statistics)
        self._guarded(self._dataset.close)
        self._guarded(self._make_cog)
        self._guarded(self._verify)

    def publish(self) -> None:
        """Give the prepared COG the target's name.

        Raises:
            OutputError: The target appeared meanwhile, or cannot be replaced.
        """
        try:
            if self._overwrite:
                self._cog.replace(self._target)
            else:
                rename_to_new(self._cog, self._target)
        except FileExistsError as error:
            raise OutputError(
                f"{self._target} appeared while the result was computed; it was left as it is"
            ) from error
        except OSError as error:
            raise OutputError(f"{self._target} cannot be written: {error.strerror}") from error

    def keep_replaced(self) -> None:
        """Keep what :meth:`publish` will replace, where the file system allows, until the sink is left."""
        if self._overwrite and self._target.exists():
            with suppress(OSError):
                os.link(self._target, self._replaced)

    def withdraw(self) -> None:
        """Take a published result back, and put back what it replaced if that was kept."""
        if self._cog.exists():
            # It never got its name: what bears that is somebody else's.
            return
        if self._replaced.exists():
            self._replaced.replace(self._target)
        else:
            self._target.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        """Return the sink itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove every staging file; a committed target stays."""
        with suppress(*_FAILURES):
            self._dataset.close()
        self._discard()

    def _discard(self) -> None:
        for path in (self._staging, self._cog, self._replaced):
            path.unlink(missing_ok=True)
        self._environment.__exit__(None, None, None)

    def _create(self, tags: dict[str, str]) -> DatasetWriter:
        profile = self._profile
        colours = [band.colorinterp for band in profile.bands]
        rgb = colours[:3] == [ColorInterp.red, ColorInterp.green, ColorInterp.blue]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            dataset = rasterio.open(
                self._staging,
                "w",
                driver="GTiff",
                height=profile.shape.height,
                width=profile.shape.width,
                count=len(profile.bands),
                dtype=profile.dtype.name,
                nodata=storable(profile.nodata, profile.dtype),
                tiled=True,
                blockxsize=BLOCK,
                blockysize=BLOCK,
                compress="zstd",
                zstd_level=1,
                predictor=_predictor(profile.dtype),
                bigtiff="if_safer",
                photometric="rgb" if rgb and profile.dtype in ("uint8", "uint16") else "minisblack",
                alpha="unspecified" if ColorInterp.alpha in colours else "no",
            )
        _describe(dataset, profile, tags)
        return dataset

    def _store_statistics(self) -> None:
        """Say what the bands are like, where that does not push out what the scene says."""
        for index, found in enumerate(self.statistics, start=1):
            if found is not None and self._own_items():
                self._dataset.update_tags(index, **found.items())

    def _own_items(self) -> bool:
        """Whether the bands' own items are kept; GDAL 3.10 copies them or namespaces, never both."""
        said = [self._profile.tags, *(band.tags for band in self._profile.bands)]
        spaces = any(space and items for tags in said for space, items in tags.items())
        return not spaces or any(tags.get("") for tags in said[1:])

    def _make_cog(self) -> None:
        wide = self._profile.dtype.itemsize == 8 and self._profile.dtype.kind in "iu"
        rasterio.shutil.copy(
            self._staging,
            self._cog,
            driver="COG",
            blocksize=_block(self._profile.shape.width),
            compress="zstd",
            level=1,
            predictor="no" if wide else "yes",
            overview_resampling="average",
            copy_src_mdd="auto" if self._own_items() else "yes",
            bigtiff="if_safer",
            num_threads="all_cpus",
        )
        self._staging.unlink()

    def _verify(self) -> None:
        """Read every window back from the finished file."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            dataset = rasterio.open(self._cog)
        covered = 0
        with dataset:
            for window, checksum in self._written:
                array = dataset.read(window=raster_window(window))
                valid = np.ones((1, 1, 1), dtype=bool)
                if self._profile.masked:
                    valid = dataset.dataset_mask(window=raster_window(window))[None] > 0
                if self._checksum(array, valid) != checksum:
                    raise OutputError(
                        f"{self._target}: {window} reads back differently from what was written; "
                        "the disk may be full or failing; nothing was published"
                    )
                covered += window.height * window.width
        if covered != self._profile.shape.height * self._profile.shape.width:
            raise OutputError(f"{self._target}: not every pixel was written; nothing was published")

    def _checksum(self, array: np.ndarray, valid: np.ndarray) -> int:
        checksum = zlib.crc32(np.ascontiguousarray(array).data)
        if self._profile.masked:
            checksum = zlib.crc32(np.ascontiguousarray(valid.any(axis=0)).data, checksum)
        return checksum

    def _guarded(self, action: Callable[[], T]) -> T:
        try:
            return action()
        except OutputError:
            raise
        except _FAILURES as error:
            free = shutil.disk_usage(self._target.parent).free
            text = str(error.__cause__ or error).strip().splitlines()
            raise OutputError(
                f"{self._target} cannot be written: {text[0] if text else type(error).__name__} "
                f"({free / 1e6:.0f} MB are free in {self._target.parent}); nothing was published"
            ) from error


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


class ArraySink:
    """An array in memory.

    Attributes:
        array: The result, shape (C, H, W).
    """

    def __init__(self, bands: int, shape: Shape, dtype: np.dtype) -> None:
        self.array = np.empty((bands, *shape), dtype=dtype)

    def write(self, window: Window, array: np.ndarray, valid: np.ndarray) -> None:
        """Store pixels (C, h, w) at a window."""
        del valid
        rows = slice(window.row, window.row + window.height)
        cols = slice(window.col, window.col + window.width)
        self.array[:, rows, cols] = array

    def commit(self) -> None:
        """Nothing to publish."""


def _describe(dataset: DatasetWriter, profile: SceneProfile, tags: dict[str, str]) -> None:
    """Set everything but pixels."""
    _place(dataset, profile)
    dataset.colorinterp = [band.colorinterp for band in profile.bands]
    dataset.scales = [band.scale for band in profile.bands]
    dataset.offsets = [band.offset for band in profile.bands]
    dataset.units = [band.unit or "" for band in profile.bands]
    for index, band in enumerate(profile.bands, start=1):
        if band.description:
            dataset.set_band_description(index, band.description)
        for space, items in band.tags.items():
            _update_tags(dataset, items, space, index)
    for space, items in profile.tags.items():
        _update_tags(dataset, items, space, 0)
    _update_tags(dataset, tags, "", 0)


def _place(dataset: DatasetWriter, profile: SceneProfile) -> None:
    """Set where the pixels lie; GeoTIFF holds a transform or control points, not both."""
    if profile.gcps:
        # rasterio needs a CRS, if an empty one.
        dataset.gcps = (list(profile.gcps), profile.crs or CRS())
    elif profile.crs is not None:
        dataset.crs = profile.crs
    if profile.transform is not None:
        dataset.transform = profile.transform
    if profile.rpcs is not None:
        dataset.rpcs = profile.rpcs


def _update_tags(dataset: DatasetWriter, items: Mapping[str, str], space: str, index: int) -> None:
    if items:
        dataset.update_tags(index, ns=space or None, **items)


def _predictor(dtype: np.dtype) -> int:
    if dtype.kind == "f":
        return 3
    return 1 if dtype.itemsize == 8 else 2


def _block(width: int) -> int:
    """Side of the result's blocks; a level as wide as a block would pass for one without tiles."""
    halves = (width / 2**level for level in range(32))
    return 384 if any(BLOCK in (int(half), math.ceil(half)) for half in halves) else BLOCK


def rename_to_new(staging: Path, target: Path) -> None:
    """Give a file a name that must not exist yet."""
    try:
        os.link(staging, target)
    except FileExistsError:
        raise
    except OSError:
        # No hard links on this file system: claim the name first, then replace the claim.
        os.close(os.open(target, os.O_CREAT | os.O_EXCL))
        try:
            staging.replace(target)
        except BaseException:
            target.unlink()
            raise
    else:
        staging.unlink()
