"""Where the pixels of giant products go: a sharded Zarr that appears whole or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, NamedTuple, Self, TypeVar

import numpy as np

from ultrares.errors import MissingExtraError, OutputError
from ultrares.scene.overview import Averaged, halved, validity
from ultrares.scene.profile import SceneProfile
from ultrares.scene.statistics import Statistics, Tally
from ultrares.scene.target_grid import Axis, TargetGrid
from ultrares.scene.windows import clipped, tiles, whole
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
from ultrares.types import Shape, Window

T = TypeVar("T")

CHUNK = 512
"""Side of what is read at once, in pixels."""

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

    Pixels go to a hidden folder beside the target. :meth:`commit` makes the overviews, reads everything
    back, compares it with what was written, and only then gives the folder the target's name. Windows that
    hold whole shards may be written in any order, by any number of writers.

    Args:
        target: Path of the result.
        profile: Size, type, place and metadata of the result.
        tags: More metadata, for provenance.
        overwrite: Whether the target may be replaced.
        layout: Sides of chunks and shards.

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
    ) -> None:
        self._zarr: Any = import_zarr()
        self._target = Path(target)
        self._profile = profile
        self._overwrite = overwrite
        self._layout = layout or Layout(CHUNK, CHUNK)
        self._nodata = storable(profile.nodata, profile.dtype)
        token = secrets.token_hex(4)
        self._staging = self._target.with_name(f".{self._target.name}.{token}.part")
        self._replaced = self._target.with_name(f".{self._target.name}.{token}.old.part")
        self._written: list[tuple[Window, int]] = []
        self._tallies = [Tally() for _ in profile.bands]
        self._levels = _levels(profile.shape)
        try:
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
        """What each band's valid pixels are like, of all that was written; None where there is none."""
        return [tally.statistics() for tally in self._tallies]

    @property
    def product(self) -> Path:
        """Where the result is, complete, between :meth:`prepare` and :meth:`publish`."""
        return self._staging

    def write(self, window: Window, array: np.ndarray, valid: np.ndarray) -> None:
        """Store pixels (C, h, w) and their validity at a window of the result."""
        rows, cols = _slices(window)

        def store() -> None:
            self._group[IMAGE][:, rows, cols] = array
            if self._profile.masked:
                self._group[MASK][rows, cols] = valid.any(axis=0).astype(np.uint8)

        self._guarded(store)
        self._written.append((window, self._checksum(array, valid)))
        for tally, band, usable in zip(self._tallies, array, valid, strict=True):
            tally.add(band, usable)

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
        self._guarded(self._make_overviews)
        self._guarded(self._store_statistics)
        self._guarded(self._consolidate)
        self._guarded(self._verify)
        self._guarded(lambda: _flush(self._staging))

    def publish(self) -> None:
        """Give the prepared group the target's name.

        Raises:
            OutputError: The target appeared meanwhile, or cannot be replaced.
        """
        try:
            if self._target.exists() or self._target.is_symlink():
                if not self._overwrite:
                    raise OutputError(
                        f"{self._target} appeared while the result was computed; it was left as it is"
                    )
                # A folder cannot be replaced in one step: for a moment there is none.
                self._target.rename(self._replaced)
            self._staging.rename(self._target)
        except OutputError:
            raise
        except OSError as error:
            raise OutputError(f"{self._target} cannot be written: {error.strerror}") from error

    def keep_replaced(self) -> None:
        """What :meth:`publish` replaces is kept in any case until the sink is left."""

    def withdraw(self) -> None:
        """Take a published result back, and put back what it replaced."""
        if not self._staging.exists():
            self._target.rename(self._staging)
        if self._replaced.exists():
            self._replaced.rename(self._target)

    def __enter__(self) -> Self:
        """Return the sink itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove every staging folder; a committed target stays."""
        if kind is not None and self._replaced.exists() and not self._target.exists():
            self._replaced.rename(self._target)
        self._discard()

    def _discard(self) -> None:
        for path in (self._staging, self._replaced):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                with suppress(OSError):
                    path.unlink(missing_ok=True)

    def _create(self, tags: dict[str, str]) -> Any:
        group = self._zarr.create_group(
            store=str(self._staging),
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
            array, valid = self._read(group, clipped(place.scaled(2), finer))
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
            self._zarr.consolidate_metadata(str(self._staging))

    def _verify(self) -> None:
        """Read every window back."""
        group = self._zarr.open_group(str(self._staging), mode="r")
        covered = 0
        for window, checksum in self._written:
            rows, cols = _slices(window)
            array = np.asarray(group[IMAGE][:, rows, cols])
            valid = np.ones((1, 1, 1), dtype=bool)
            if self._profile.masked:
                valid = np.asarray(group[MASK][rows, cols])[None] > 0
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
        # Besides the system's errors, zarr has some of its own for damaged chunks.
        except (OSError, ValueError, KeyError) as error:
            free = shutil.disk_usage(self._target.parent).free
            text = str(error).strip().splitlines()
            raise OutputError(
                f"{self._target} cannot be written: {text[0] if text else type(error).__name__} "
                f"({free / 1e6:.0f} MB are free in {self._target.parent}); nothing was published"
            ) from error


def check_folder(path: Path) -> None:
    """Refuse a folder as a target, unless it is a Zarr that may be replaced.

    Raises:
        OutputError: It is something else, whatever its name.
    """
    if not is_zarr(path):
        raise OutputError(f"{path} is a folder; pass the name of the file to write")
    if not any((path / name).is_file() for name in ("zarr.json", ".zgroup", ".zarray")):
        raise OutputError(f"{path} is a folder and no Zarr; choose another name for the output")


def storable(nodata: float | None, dtype: np.dtype) -> float | None:
    """Nodata as the type can hold it; a value outside its range marks no pixel anyway."""
    if nodata is None or dtype.kind == "f":
        return nodata
    limits = np.iinfo(dtype)
    return nodata if nodata == nodata and limits.min <= nodata <= limits.max else None


def _levels(shape: Shape) -> list[str]:
    """Paths of the overviews, down to one that fits a chunk."""
    found: list[str] = []
    while max(shape) > CHUNK:
        shape = shape_of(1, shape)
        found.append(f"overviews/{2 ** (len(found) + 1)}")
    return found


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
