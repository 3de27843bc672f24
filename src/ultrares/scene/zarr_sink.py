"""Where the pixels of giant products go: a sharded Zarr that appears whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, NamedTuple, Self, TypeVar

import numpy as np
import rasterio
from rasterio.errors import RasterioError

from ultrares.errors import MissingExtraError, OutputError
from ultrares.scene.overview import Averaged, halved, validity
from ultrares.scene.profile import SceneProfile
from ultrares.scene.staging import Staging, sync, unwritable
from ultrares.scene.statistics import Statistics, Tally, tallies_of
from ultrares.scene.target_grid import Axis, TargetGrid
from ultrares.scene.tile_file import canonical, decode, encode, note_of
from ultrares.scene.windows import tiles, whole
from ultrares.scene.zarr_layout import (
    IMAGE,
    MAPPING,
    MASK,
    centres,
    group_attributes,
    image_attributes,
    is_zarr,
    mapping_attributes,
    shape_of,
)
from ultrares.scene.zarr_shards import checksums, files_of, fit, holds_shards, keep_only
from ultrares.types import Shape, Window

T = TypeVar("T")

CHUNK = 512
"""Side of what is read at once, in pixels."""

OVERVIEWS = "overviews"

LEVEL = 3
"""Of zstd: larger ones gain a percent or two and take several times as long."""


class Layout(NamedTuple):
    """Sides, in pixels, of the squares that are compressed and of those that are files."""

    chunk: int
    shard: int


def layout_for(tile: int, factor: int | None) -> Layout:
    """Chunks of about 512 pixels that hold whole scene pixels, and shards that hold whole tiles.

    Args:
        tile: Output pixels a side that are written at once; make it the layout's ``shard``.
        factor: Output pixels per scene pixel where scene pixels are whole blocks; None elsewhere.
    """
    if factor is None:
        return Layout(CHUNK, CHUNK)
    chunk = factor * max(1, round(CHUNK / factor))
    if tile < chunk:
        chunk = factor * max(1, tile // factor)
    return Layout(chunk, tile // chunk * chunk)


def import_zarr() -> ModuleType:
    """The library, which is optional.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        import zarr
    except ImportError as error:
        raise MissingExtraError(
            "Zarr needs a library that is not installed: pip install 'ultrares[zarr]'"
        ) from error
    return zarr


class ZarrSink:
    """A Zarr v3 group with overviews, written window by window.

    The group is made in a staging folder beside the target, so that whatever ends the process costs at most
    the window at work. Windows of whole shards are written to their place in it, and a note with the
    checksums of their files is kept; of others the pixels are kept. :meth:`commit` adds those and the
    overviews, reads everything back, compares it with what was written, and only then gives the group the
    target's name.

    Args:
        target: Path of the result.
        profile: Size, type, place and metadata of the result.
        tags: More metadata, for provenance.
        overwrite: Whether the target may be replaced.
        layout: Sides of chunks and shards.
        staging: Where the group is made, which the sink closes; None for a folder that nobody can go on with.

    Raises:
        OutputError: Something cannot be written, now or later.
        MissingExtraError: The zarr library is not installed.
    """

    def __init__(
        self,
        target: str | Path,
        profile: SceneProfile,
        tags: Mapping[str, str] | None = None,
        *,
        overwrite: bool = False,
        layout: Layout | None = None,
        staging: Staging | None = None,
    ) -> None:
        self._target = Path(target)
        self._profile = profile
        self._overwrite = overwrite
        self._layout = layout or Layout(CHUNK, CHUNK)
        self._nodata = profile.storable_nodata
        self._tallies = [Tally() for _ in profile.bands]
        self._counted: set[Window] = set()
        self._levels = _levels(profile.shape)
        self._staging = staging
        try:
            self._zarr: Any = import_zarr()
            self._staging = staging or Staging(target)
            if not self._complete:
                self._guarded(self._go_on)
                self._group = self._guarded(lambda: self._create(dict(tags or {})))
        except BaseException:
            self._discard()
            raise

    @property
    def target(self) -> Path:
        """Path of the result."""
        return self._target

    @property
    def statistics(self) -> list[Statistics | None]:
        """What each band's valid pixels are like, of all that is stored; None where there is none."""
        for window in sorted(self.finished - self._counted):
            # An earlier run made it, and noted what it counted.
            self._count(window, tallies_of(self._note(window)["tallies"]))
        return [tally.statistics() for tally in self._tallies]

    @property
    def finished(self) -> Set[Window]:
        """The windows that are stored, by this sink or by one before it."""
        return self._held.finished.keys()

    @property
    def product(self) -> Path:
        """Where the result is, complete, once it is prepared; after :meth:`publish` that is the target."""
        return self._target if self._held.published else self._held.product

    def write(self, window: Window, array: np.ndarray, valid: np.ndarray) -> None:
        """Store pixels (C, h, w) and their validity at a window of the result."""
        if self._complete:
            # An earlier run verified all of it; only what goes with it lacks this window.
            return
        array = canonical(array)
        tallies = [Tally() for _ in self._profile.bands]
        for tally, band, usable in zip(tallies, array, valid, strict=True):
            tally.add(band, usable)
        mask = np.asarray(valid.any(axis=0)) if self._profile.masked else None
        note = {"tallies": [tally.terms() for tally in tallies]}

        def store() -> None:
            if self._is_whole(window):
                data = json.dumps(note | {"shards": self._put_whole(window, array, mask)}).encode()
            else:
                with rasterio.Env(GDAL_TIFF_INTERNAL_MASK="YES"):
                    data = encode(array, mask, json.dumps(note))
            self._held.store(window, data, f"{_checksum(array, mask):08x}")

        self._guarded(store)
        self._count(window, tallies)

    def commit(self) -> None:
        """Finish the group, read it back, and publish it under the target's name.

        Raises:
            OutputError: The disk is full, the read-back differs, or the target appeared meanwhile.
        """
        self.prepare()
        self.publish()

    def prepare(self) -> None:
        """Make overviews and consolidated metadata and read the pixels back.

        Raises:
            OutputError: The disk is full, or the read-back differs.
        """
        if self._complete:
            return
        self._check_coverage()
        steps = (
            self._put_pieces,
            self._make_overviews,
            self._store_statistics,
            self._consolidate,
            self._verify,
            lambda: _flush(self._held.product),
            self._held.verify,
        )
        try:
            for step in steps:
                self._guarded(step)
        except BaseException:
            # The room that they take must not meet the next attempt.
            shutil.rmtree(self._held.product / OVERVIEWS, ignore_errors=True)
            raise

    def publish(self) -> None:
        """Give the prepared group the target's name.

        Raises:
            OutputError: The target appeared meanwhile, or cannot be replaced.
        """
        if self._held.published:
            return
        try:
            if os.path.lexists(self._target):
                if not self._overwrite:
                    raise OutputError(
                        f"{self._target} appeared while the result was computed; it was left as it is"
                    )
                # A folder cannot be replaced in one step: for a moment there is none.
                _remove(self._held.replaced)
                self._target.rename(self._held.replaced)
            self._held.product.rename(self._target)
            sync(self._target.parent)
        except OutputError:
            raise
        except OSError as error:
            raise OutputError(f"{self._target} cannot be written: {error.strerror}") from error

    def keep_replaced(self) -> None:
        """What :meth:`publish` replaces is kept in any case until the sink is left."""

    def withdraw(self) -> None:
        """Take a published result back, and put back what it replaced."""
        if self._held.published:
            self._target.rename(self._held.product)
        self._held.put_back()

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

    @property
    def _held(self) -> Staging:
        assert self._staging is not None, "the sink was not opened"
        return self._staging

    @property
    def _complete(self) -> bool:
        """Whether nothing is missing but the name, or not even that."""
        return self._held.published or self._held.verified

    def _is_whole(self, window: Window) -> bool:
        return holds_shards(window, self._profile.shape, self._layout.shard)

    def _go_on(self) -> None:
        """Keep of an earlier run the shards that are as it wrote them; nothing else in the group is."""
        believed: set[str] = set()
        for window in filter(self._is_whole, list(self.finished)):
            shards = self._note(window)["shards"]
            if fit(self._held.product, shards):
                believed.update(shards)
            else:
                self._held.forget(window)
        keep_only(self._held.product, believed)

    def _note(self, window: Window) -> dict[str, Any]:
        """What was noted of a window."""
        path = self._held.path(window)
        text = path.read_text() if self._is_whole(window) else note_of(path)
        return dict(json.loads(text))

    def _count(self, window: Window, tallies: Sequence[Tally]) -> None:
        """Add to the statistics what a window holds, which may be stored more than once."""
        if window in self._counted:
            return
        self._counted.add(window)
        for all_of_it, part in zip(self._tallies, tallies, strict=True):
            all_of_it.merge(part)

    def _put_whole(
        self, window: Window, array: np.ndarray, mask: np.ndarray | None
    ) -> dict[str, int]:
        """Write whole shards and return the checksums of their files."""
        names = files_of(window, self._layout.shard, masked=mask is not None)
        for name in names:
            (self._held.product / name).unlink(missing_ok=True)
        self._put(window, array, mask)
        return checksums(self._held.product, names)

    def _put_pieces(self) -> None:
        """Write what shares shards with other windows, now that all of it is there."""
        for window in sorted(self.finished):
            if not self._is_whole(window):
                array, mask = decode(self._held.path(window))
                self._put(window, array, mask if self._profile.masked else None)

    def _put(self, window: Window, array: np.ndarray, mask: np.ndarray | None) -> None:
        rows, cols = _slices(window)
        self._group[IMAGE][:, rows, cols] = array
        if mask is not None:
            self._group[MASK][rows, cols] = mask.astype(np.uint8)

    def _create(self, tags: dict[str, str]) -> Any:
        group = self._zarr.create_group(
            store=str(self._held.product),
            zarr_format=3,
            attributes=group_attributes(self._profile, tags, self._levels),
        )
        self._add_level(group, self._profile)
        return group

    def _add_level(self, group: Any, profile: SceneProfile) -> None:
        """The arrays of one resolution."""
        chunk, shard = self._layout
        bands, shape = len(profile.bands), profile.shape
        zstd = self._zarr.codecs.ZstdCodec(level=LEVEL)
        group.create_array(
            IMAGE,
            shape=(bands, *shape),
            dtype=profile.dtype,
            chunks=(1, chunk, chunk),
            shards=(bands, shard, shard),
            compressors=zstd,
            fill_value=0 if self._nodata is None else profile.dtype.type(self._nodata),
            dimension_names=("band", "y", "x"),
            attributes=image_attributes(profile, self._nodata),
        )
        if profile.masked:
            group.create_array(
                MASK,
                shape=shape,
                dtype="uint8",
                chunks=(chunk, chunk),
                shards=(shard, shard),
                compressors=zstd,
                fill_value=0,
                dimension_names=("y", "x"),
                attributes={
                    "grid_mapping": MAPPING,
                    "flag_values": [0, 1],
                    "flag_meanings": "no_data data",
                },
            )
        place = group.create_array(
            MAPPING, shape=(), dtype="int64", fill_value=0, attributes=mapping_attributes(profile)
        )
        place[()] = 0
        coordinates = {"band": (np.arange(1, bands + 1), {}), **centres(profile)}
        for name, (values, said) in coordinates.items():
            group.create_array(name, data=values, dimension_names=(name,), attributes=said)

    def _make_overviews(self) -> None:
        """Each from the one before, a shard at a time."""
        profile = self._profile
        below = self._group
        for path in self._levels:
            finer, shape = profile.shape, shape_of(1, profile.shape)
            profile = profile.onto(TargetGrid(Axis(0, 2, shape.height), Axis(0, 2, shape.width)))
            above = self._group.create_group(path)
            self._add_level(above, profile)
            for window in tiles(whole(shape), self._layout.shard):
                rows, cols = _slices(window)
                made = self._halved(below, window, finer)
                above[IMAGE][:, rows, cols] = made.pixels
                if profile.masked:
                    above[MASK][rows, cols] = made.valid.any(axis=0).astype(np.uint8)
            below = above

    def _halved(self, group: Any, window: Window, finer: Shape) -> Averaged:
        """A shard of an overview, made a chunk at a time because sums take eight bytes a pixel."""
        size = (len(self._profile.bands), window.height, window.width)
        made = Averaged(np.empty(size, self._profile.dtype), np.empty(size, dtype=bool))
        for part in tiles(Window(0, 0, window.height, window.width), self._layout.chunk):
            place = part._replace(row=window.row + part.row, col=window.col + part.col)
            array, valid = self._read(group, place.scaled(2).clipped(finer))
            rows, cols = _slices(part)
            averaged = halved(array, valid, self._nodata)
            made.pixels[:, rows, cols], made.valid[:, rows, cols] = averaged
        return made

    def _read(self, group: Any, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """Pixels and their validity as a reader will see them."""
        rows, cols = _slices(window)
        array = np.asarray(group[IMAGE][:, rows, cols])
        mask = np.asarray(group[MASK][rows, cols]) if self._profile.masked else None
        return array, validity(array, self._nodata, mask, self._profile.alpha)

    def _store_statistics(self) -> None:
        self._group[IMAGE].attrs["statistics"] = [one and vars(one) for one in self.statistics]

    def _consolidate(self) -> None:
        with warnings.catch_warnings():
            # It says that v3 does not know consolidated metadata yet; readers do, and others ignore it.
            warnings.simplefilter("ignore")
            self._zarr.consolidate_metadata(str(self._held.product))

    def _check_coverage(self) -> None:
        covered = sum(window.height * window.width for window in self.finished)
        if covered != self._profile.shape.height * self._profile.shape.width:
            raise OutputError(f"{self._target}: not every pixel was written; nothing was published")

    def _verify(self) -> None:
        """Read every window back."""
        group = self._zarr.open_group(str(self._held.product), mode="r")
        for window in sorted(self.finished):
            rows, cols = _slices(window)
            array = np.asarray(group[IMAGE][:, rows, cols])
            mask = np.asarray(group[MASK][rows, cols]) > 0 if self._profile.masked else None
            if f"{_checksum(array, mask):08x}" != self._held.mark(window):
                raise OutputError(
                    f"{self._target}: {window} reads back differently from what was written; "
                    "the disk may be full or failing; nothing was published"
                )

    def _guarded(self, action: Callable[[], T]) -> T:
        try:
            return action()
        except OutputError:
            raise
        # Besides the system's errors, zarr has some of its own for damaged chunks, and GDAL for pieces.
        except (OSError, ValueError, KeyError, RasterioError) as error:
            text = str(error).strip().splitlines()
            reason = text[0] if text else type(error).__name__
            raise OutputError(unwritable(self._target, reason) + self._held.kept) from error


def check_folder(path: Path) -> None:
    """Refuse a folder as a target, unless it is a Zarr that may be replaced.

    Raises:
        OutputError: It is something else, whatever its name.
    """
    if not is_zarr(path):
        raise OutputError(f"{path} is a folder; pass the name of the file to write")
    if not any((path / name).is_file() for name in ("zarr.json", ".zgroup", ".zarray")):
        raise OutputError(f"{path} is a folder and no Zarr; choose another name for the output")


def _levels(shape: Shape) -> list[str]:
    """Paths of the overviews, down to one that fits a chunk."""
    found: list[str] = []
    while max(shape) > CHUNK:
        shape = shape_of(1, shape)
        found.append(f"{OVERVIEWS}/{2 ** (len(found) + 1)}")
    return found


def _checksum(array: np.ndarray, mask: np.ndarray | None) -> int:
    checksum = zlib.crc32(np.ascontiguousarray(array).data)
    return checksum if mask is None else zlib.crc32(np.ascontiguousarray(mask).data, checksum)


def _remove(path: Path) -> None:
    """Remove a folder or a file, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _slices(window: Window) -> tuple[slice, slice]:
    return (
        slice(window.row, window.row + window.height),
        slice(window.col, window.col + window.width),
    )


def _flush(folder: Path) -> None:
    """Hand a folder and all in it to the disk, so that a name given later names what was written."""
    for path in _paths(folder):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _paths(folder: Path) -> Iterator[Path]:
    for root, _, files in os.walk(folder):
        yield Path(root)
        yield from (Path(root) / file for file in files)
