"""A cloud-optimised GeoTIFF that appears whole or not at all."""

from __future__ import annotations

import json
import math
import os
import warnings
import zlib
from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import numpy as np
import rasterio
import rasterio.shutil
from rasterio._err import CPLE_BaseError
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from ultrares.errors import OutputError
from ultrares.scene.budget import LARGEST_BLOCK_CACHE
from ultrares.scene.profile import SceneProfile
from ultrares.scene.publishing import rename_to_new
from ultrares.scene.source import raster_window
from ultrares.scene.staging import Staging, sync, unwritable
from ultrares.scene.statistics import Statistics, Tally, tallies_of
from ultrares.scene.template import add_statistics, write_template
from ultrares.scene.tile_file import BLOCK, canonical, encode, hole, is_hole, mosaic, note_of
from ultrares.types import Window

T = TypeVar("T")

# What GDAL says while a dataset is closed on a full disk passes through rasterio unwrapped.
_FAILURES = (RasterioError, CPLE_BaseError, OSError)

# Without PAM nothing is written beside the file, where a rename would lose it.
_ENVIRONMENT: dict[str, Any] = {
    # Each tile that is open keeps what it has decoded, and each thread does; by default there are a hundred.
    "GDAL_MAX_DATASET_POOL_SIZE": 16,
    "VRT_NUM_THREADS": "1",
    "GDAL_PAM_ENABLED": "NO",
    "GDAL_TIFF_INTERNAL_MASK": "YES",
}


class CogSink:
    """A cloud-optimised GeoTIFF with overviews, written window by window.

    Windows are kept as files of their own in a staging folder beside the target, so that whatever ends the
    process costs at most the window at work. :meth:`commit` makes one COG of them, in an order that does
    not depend on how they came to be, reads that back whole, compares it with what was written, and only
    then gives it the target's name.

    Args:
        target: Path of the result.
        profile: Size, type, place and metadata of the result.
        tags: More metadata, for provenance.
        overwrite: Whether the target may be replaced.
        staging: Where windows are kept, which the sink closes; None for a folder that nobody can go on with.
        cache: Bytes that GDAL may keep of decoded blocks; rasterio counts bytes where GDAL guesses the unit.

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
        staging: Staging | None = None,
        cache: int = LARGEST_BLOCK_CACHE,
    ) -> None:
        self._target = Path(target)
        self._profile = profile
        self._overwrite = overwrite
        self._tallies = [Tally() for _ in profile.bands]
        self._counted: set[Window] = set()
        self._environment = rasterio.Env(**_ENVIRONMENT, GDAL_CACHEMAX=cache)
        self._environment.__enter__()
        self._staging: Staging | None = None
        try:
            self._staging = staging or Staging(target)
            self._template = self._guarded(lambda: self._describe(dict(tags or {})))
        except BaseException:
            self._discard()
            raise

    @property
    def target(self) -> Path:
        """Path of the result."""
        return self._target

    @property
    def product(self) -> Path:
        """Where the result is, complete, once it is prepared; after :meth:`publish` that is the target."""
        return self._target if self._held.published else self._cog

    @property
    def statistics(self) -> list[Statistics | None]:
        """What each band's valid pixels are like, of all that is stored; None where there is none."""
        for window in sorted(self.finished - self._counted):
            # An earlier run made it, and noted what it counted.
            self._count(window, tallies_of(json.loads(note_of(self._held.path(window)))))
        return [tally.statistics() for tally in self._tallies]

    @property
    def finished(self) -> Set[Window]:
        """The windows that are stored, by this sink or by one before it."""
        return self._held.finished.keys()

    def write(self, window: Window, array: np.ndarray, valid: np.ndarray) -> None:
        """Store pixels (C, h, w) and their validity at a window of the result."""
        array = canonical(array)
        mask = np.asarray(valid.any(axis=0)) if self._profile.masked else None
        mark = f"{self._checksum(array, valid):08x}"
        tallies = [Tally() for _ in self._profile.bands]
        for tally, band, usable in zip(tallies, array, valid, strict=True):
            tally.add(band, usable)
        note = json.dumps([tally.terms() for tally in tallies])
        data = hole(note) if self._is_empty(array, valid) else encode(array, mask, note)
        self._guarded(lambda: self._held.store(window, data, mark))
        self._count(window, tallies)

    def _is_empty(self, array: np.ndarray, valid: np.ndarray) -> bool:
        """Whether a file that stores nothing there would show just these pixels."""
        # Alpha is valid everywhere; where it is 0, nothing else is.
        if valid[~np.array(self._profile.alpha)].any():
            return False
        empty = self._profile.storable_nodata
        if empty is not None and np.isnan(empty):
            return bool(np.isnan(array).all())
        return bool((array == (0 if empty is None else empty)).all())

    def _count(self, window: Window, tallies: Sequence[Tally]) -> None:
        """Add to the statistics what a window holds, which may be stored more than once."""
        if window in self._counted:
            return
        self._counted.add(window)
        for all_of_it, part in zip(self._tallies, tallies, strict=True):
            all_of_it.merge(part)

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
        if self._held.published or self._held.verified:
            return
        self._check_coverage()
        try:
            self._guarded(self._make_cog)
            self._guarded(self._verify)
            self._guarded(self._held.verify)
        except BaseException:
            # What is wrong with it, or the room that it takes, must not meet the next attempt.
            self._cog.unlink(missing_ok=True)
            raise

    def publish(self) -> None:
        """Give the prepared COG the target's name.

        Raises:
            OutputError: The target appeared meanwhile, or cannot be replaced.
        """
        if self._held.published:
            return
        try:
            if self._overwrite:
                self._cog.replace(self._target)
            else:
                rename_to_new(self._cog, self._target)
            sync(self._target.parent)
        except FileExistsError as error:
            raise OutputError(
                f"{self._target} appeared while the result was computed; it was left as it is"
            ) from error
        except OSError as error:
            raise OutputError(f"{self._target} cannot be written: {error.strerror}") from error

    def keep_replaced(self) -> None:
        """Keep what :meth:`publish` will replace, where the file system allows, until the sink is left."""
        if self._overwrite and self._target.exists() and not self._held.published:
            with suppress(OSError):
                self._held.replaced.unlink(missing_ok=True)
                os.link(self._target, self._held.replaced)

    def withdraw(self) -> None:
        """Take a published result back, and put back what it replaced if that was kept."""
        if not self._held.published:
            # It never got its name: what bears that is somebody else's.
            return
        if self._held.replaced.exists():
            self._held.replaced.replace(self._target)
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
        """Let go of the staging folder; a committed target stays."""
        self._discard()

    def _discard(self) -> None:
        if self._staging is not None:
            self._staging.close()
        self._environment.__exit__(None, None, None)

    @property
    def _held(self) -> Staging:
        assert self._staging is not None, "the sink was not opened"
        return self._staging

    @property
    def _cog(self) -> Path:
        return self._held.product

    def _describe(self, tags: dict[str, str]) -> Path:
        """All but the pixels, as a virtual raster; early, for what cannot be said must be refused early."""
        path = self._held.folder / "template.vrt"
        write_template(path, self._profile, tags)
        return path

    def _own_items(self) -> bool:
        """Whether the bands' own items are kept; GDAL 3.10 copies them or namespaces, never both."""
        said = [self._profile.tags, *(band.tags for band in self._profile.bands)]
        spaces = any(space and items for tags in said for space, items in tags.items())
        return not spaces or any(tags.get("") for tags in said[1:])

    def _make_cog(self) -> None:
        wide = self._profile.dtype.itemsize == 8 and self._profile.dtype.kind in "iu"
        whole, counted = (self._held.folder / name for name in ("mosaic.vrt", "counted.vrt"))
        add_statistics(self._template, counted, self.statistics if self._own_items() else [])
        windows = sorted(self._held.finished)
        pieces = ((each, self._held.path(each)) for each in windows)
        mosaic(counted, (piece for piece in pieces if not is_hole(piece[1])), whole)
        rasterio.shutil.copy(
            whole,
            self._cog,
            driver="COG",
            blocksize=_block(self._profile.shape.width),
            compress="zstd",
            level=1,
            predictor="no" if wide else "yes",
            overview_resampling="average",
            copy_src_mdd="auto" if self._own_items() else "yes",
            bigtiff="if_safer",
            # Blocks without data take no room and no time; they are read as what lacks data.
            sparse_ok=True,
            num_threads="all_cpus",
        )

    def _check_coverage(self) -> None:
        covered = sum(window.height * window.width for window in self.finished)
        if covered != self._profile.shape.height * self._profile.shape.width:
            raise OutputError(f"{self._target}: not every pixel was written; nothing was published")

    def _verify(self) -> None:
        """Read every window back from the finished file."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            dataset = rasterio.open(self._cog)
        with dataset:
            for window in sorted(self.finished):
                array = dataset.read(window=raster_window(window))
                valid = np.ones((1, 1, 1), dtype=bool)
                if self._profile.masked:
                    valid = dataset.dataset_mask(window=raster_window(window))[None] > 0
                if f"{self._checksum(array, valid):08x}" != self._held.mark(window):
                    raise OutputError(
                        f"{self._target}: {window} reads back differently from what was written; "
                        "the disk may be full or failing; nothing was published"
                    )

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
            said = error.strerror if isinstance(error, OSError) else None
            text = (said or str(error.__cause__ or error)).strip().splitlines()
            reason = text[0] if text else type(error).__name__
            kept = "" if self._staging is None else self._staging.kept
            raise OutputError(unwritable(self._target, reason) + kept) from error


def _block(width: int) -> int:
    """Side of the result's blocks; a level as wide as a block would pass for one without tiles."""
    halves = (width / 2**level for level in range(32))
    return 384 if any(BLOCK in (int(half), math.ceil(half)) for half in halves) else BLOCK
