"""Broken TIFFs: small valid ones, spoilt where the format allows it, and what becomes of them.

The layout of a TIFF is that of the TIFF 6.0 specification: a header, then directories of entries of 12 bytes.
"""

from __future__ import annotations

import json
import resource
import struct
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import rasterio
from affine import Affine
from hypothesis import strategies as st
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import MemoryFile
from rasterio.windows import Window as RasterWindow

import ultrares
from ultrares.errors import UltraresError
from ultrares.scene.source import RasterSource
from ultrares.types import Window

UPSCALED = 2**18
"""Values of a raster that is still upscaled; of larger ones a sample and a corner are read."""

SIZES = {
    1: 1,
    2: 1,
    3: 2,
    4: 4,
    5: 8,
    6: 1,
    7: 1,
    8: 2,
    9: 4,
    10: 8,
    11: 4,
    12: 8,
    13: 4,
    16: 8,
    17: 8,
}
"""Bytes of a value of each type."""

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, STRIP_OFFSETS, SAMPLES = (
    256,
    257,
    258,
    259,
    262,
    273,
    277,
)
ROWS_PER_STRIP, STRIP_COUNTS, PLANAR, PREDICTOR, COLOUR_MAP = 278, 279, 284, 317, 320
TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_COUNTS, EXTRA, FORMAT = 322, 323, 324, 325, 338, 339
PIXEL_SCALE, TIE_POINT, MATRIX, GEO_KEYS = 33550, 33922, 34264, 34735
GDAL_METADATA, GDAL_NODATA = 42112, 42113

NUMBERS = (
    WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, SAMPLES, ROWS_PER_STRIP, PLANAR, PREDICTOR, TILE_WIDTH,
    TILE_HEIGHT, EXTRA, FORMAT, STRIP_OFFSETS, STRIP_COUNTS, TILE_OFFSETS, TILE_COUNTS, GEO_KEYS,
)  # fmt: skip
ABSURD = (
    0,
    1,
    2,
    3,
    7,
    8,
    16,
    17,
    64,
    255,
    1000,
    4096,
    65535,
    2**20,
    2**30,
    2**31 - 1,
    2**31,
    2**32 - 1,
)
DOUBLES = (0.0, -0.0, float("nan"), float("inf"), -float("inf"), 1e-320, 1e300, -1.0, 1e-7, 5e8)
TEXTS = (b"", b"nan", b"-nan", b"inf", b"1e999", b"-1e400", b"junk", b"\xff\xfe", b"12abc", b" ", b"-", b"1e-400",
         b"9223372036854775807", b"18446744073709551615", b"300", b"0x10", b"<GDALMetadata>", b"</", b"1,5")  # fmt: skip


class Entry(NamedTuple):
    """An entry of a directory: where it stands, and where its values do."""

    at: int
    tag: int
    kind: int
    number: int
    values: int


class Layout(NamedTuple):
    """Where things are in a TIFF."""

    entries: list[Entry]
    directories: list[int]
    links: list[int]
    """Places of the pointers to the first and each next directory."""


Breaker = Callable[[bytearray], None]


@cache
def bases() -> tuple[bytes, ...]:
    """Valid TIFFs of several layouts, types and kinds of metadata."""
    utm: dict[str, Any] = {
        "crs": "EPSG:31985",
        "transform": Affine(28.5, 0, 301_234.5, 0, -28.5, 9_112_345.25),
    }
    tiled: dict[str, Any] = {"tiled": True, "blockxsize": 16, "blockysize": 16}
    return (
        _tiff(1, "uint8", **utm),
        _tiff(3, "uint8", **utm, **tiled, compress="deflate", photometric="rgb"),
        _tiff(2, "int16", **utm, compress="lzw", predictor=2, nodata=-5, interleave="band"),
        _tiff(1, "float32", **utm, **tiled, compress="zstd", predictor=3, nodata=float("nan")),
        _tiff(
            4,
            "uint16",
            **tiled,
            nodata=0,
            crs="EPSG:4326",
            transform=Affine(1, 0.2, 9, 0.1, -1, 50),
        ),
        _tiff(1, "float64", blockysize=3, overviews=True, **utm),
        _tiff(3, "uint8", **utm, **tiled, compress="jpeg", photometric="ycbcr", mask=True),
        _tiff(4, "uint8", photometric="rgb", alpha="yes", **utm, compress="packbits"),
        _tiff(
            1, "uint8", side=3000, **utm, tiled=True, sparse_ok=True, compress="deflate", nodata=0
        ),
        _tiff(1, "uint8", **utm, photometric="palette", compress="deflate"),
    )


def _tiff(
    bands: int,
    dtype: str,
    *,
    side: int = 40,
    mask: bool = False,
    overviews: bool = False,
    **options: Any,
) -> bytes:
    rng = np.random.default_rng(bands)
    image = rng.integers(1, 200, (bands, 40, 37)).astype(dtype)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), MemoryFile() as memory:
        with memory.open(
            driver="GTiff", count=bands, height=side, width=side - 3, dtype=dtype, **options
        ) as dataset:
            dataset.write(image, window=RasterWindow(0, 0, 37, 40))
            dataset.update_tags(AUTHOR="nobody", ULTRARES_SCALE="2")
            dataset.set_band_description(1, "light")
            if mask:
                dataset.write_mask(rng.random((40, 37)) > 0.2)
            if overviews:
                dataset.build_overviews([2, 4])
        return bytes(memory.read())


def layout(data: bytes) -> Layout:
    """Where the entries of a little-endian classic TIFF and what they point to are."""
    entries, directories, links = [], [], [4]
    (place,) = struct.unpack_from("<I", data, 4)
    while place and place not in directories:
        directories.append(place)
        (count,) = struct.unpack_from("<H", data, place)
        for at in range(place + 2, place + 2 + 12 * count, 12):
            tag, kind, number, value = struct.unpack_from("<HHII", data, at)
            inline = SIZES.get(kind, 1) * number <= 4
            entries.append(Entry(at, tag, kind, number, at + 8 if inline else value))
        links.append(place + 2 + 12 * count)
        (place,) = struct.unpack_from("<I", data, links[-1])
    return Layout(entries, directories, links)


def borders(data: bytes) -> list[int]:
    """Bytes at which a directory, an entry's values, a strip or a tile begins or ends."""
    found = layout(data)
    places = {0, 4, 8, len(data) - 1}
    places.update(found.directories, (link + 4 for link in found.links))
    for entry in found.entries:
        places.update((entry.values, entry.values + SIZES.get(entry.kind, 1) * entry.number))
    for offsets, counts in ((STRIP_OFFSETS, STRIP_COUNTS), (TILE_OFFSETS, TILE_COUNTS)):
        for start, length in zip(_values(data, offsets), _values(data, counts), strict=True):
            places.update((start, start + length // 2, start + length))
    return sorted(place for place in places if 0 <= place < len(data))


def _values(data: bytes, tag: int) -> list[int]:
    """All whole numbers under a tag, of all directories."""
    letters = {1: "B", 3: "H", 4: "I"}
    return [
        struct.unpack_from("<" + letters[entry.kind], data, entry.values + i * SIZES[entry.kind])[0]
        for entry in layout(data).entries
        if entry.tag == tag and entry.kind in letters
        for i in range(entry.number)
    ]


@st.composite
def broken(draw: st.DrawFn) -> bytes:
    """A TIFF that was broken in one to three ways, and perhaps cut off."""
    data = bytearray(draw(st.sampled_from(bases())))
    for _ in range(draw(st.integers(1, 3))):
        breaker = draw(st.sampled_from(BREAKERS))
        breaker(draw, data)
    if draw(st.integers(0, 3)) == 0:
        cut = draw(st.sampled_from(borders(bytes(draw(st.sampled_from(bases()))))))
        del data[cut + draw(st.integers(-1, 1)) :]
    return bytes(data)


def _entry(draw: st.DrawFn, data: bytearray, tags: tuple[int, ...] | None = None) -> Entry | None:
    try:
        entries = layout(bytes(data)).entries
    except struct.error:
        return None
    fitting = [entry for entry in entries if tags is None or entry.tag in tags]
    return draw(st.sampled_from(fitting)) if fitting else None


def _put(data: bytearray, place: int, form: str, *values: float) -> None:
    if place >= 0 and place + struct.calcsize("<" + form) <= len(data):
        struct.pack_into("<" + form, data, place, *values)


def break_number(draw: st.DrawFn, data: bytearray) -> None:
    """Absurd sizes, bits, compressions, offsets, byte counts and geographic keys."""
    entry = _entry(draw, data, NUMBERS)
    if entry is None:
        return
    value = draw(st.sampled_from(ABSURD) | st.integers(0, 70_000))
    which = draw(st.integers(0, max(0, entry.number - 1)))
    if entry.kind == 3:
        _put(data, entry.values + 2 * which, "H", value & 0xFFFF)
    else:
        _put(data, entry.values + 4 * which, "I", value)


def break_type(draw: st.DrawFn, data: bytearray) -> None:
    """An entry of another type, or of another number of values."""
    entry = _entry(draw, data)
    if entry is None:
        return
    if draw(st.booleans()):
        _put(data, entry.at + 2, "H", draw(st.integers(0, 20)))
    else:
        _put(data, entry.at + 4, "I", draw(st.sampled_from(ABSURD)))


def break_tag(draw: st.DrawFn, data: bytearray) -> None:
    """An entry that is missing, because it bears another tag."""
    entry = _entry(draw, data)
    if entry is not None:
        _put(data, entry.at, "H", draw(st.sampled_from((*NUMBERS, GEO_KEYS, GDAL_NODATA, 65000))))


def break_wide(draw: st.DrawFn, data: bytearray) -> None:
    """A width and a height of up to 2^31, with tiles or strips of any size."""
    for tag in (WIDTH, HEIGHT, TILE_WIDTH, TILE_HEIGHT, ROWS_PER_STRIP):
        entry = _entry(draw, data, (tag,))
        if entry is None or (tag > HEIGHT and draw(st.booleans())):
            continue
        _put(data, entry.at + 2, "HI", 4, 1)
        _put(
            data,
            entry.at + 8,
            "I",
            draw(st.sampled_from((16, 512, 2**16, 2**20, 2**30, 2**31 - 1))),
        )


def break_doubles(draw: st.DrawFn, data: bytearray) -> None:
    """A transform of zeros, infinities or what is no number."""
    entry = _entry(draw, data, (PIXEL_SCALE, TIE_POINT, MATRIX))
    if entry is not None:
        which = draw(st.integers(0, max(0, min(entry.number, 16) - 1)))
        _put(data, entry.values + 8 * which, "d", draw(st.sampled_from(DOUBLES)))


def break_text(draw: st.DrawFn, data: bytearray) -> None:
    """Nodata or metadata that are junk."""
    entry = _entry(draw, data, (GDAL_NODATA, GDAL_METADATA))
    if entry is None:
        return
    text = draw(st.sampled_from(TEXTS)) + b"\0"
    place = len(data)
    if len(text) <= 4:
        place = entry.at + 8
        data[place : place + 4] = text.ljust(4, b"\0")
    else:
        data.extend(text)
        _put(data, entry.at + 8, "I", place)
    _put(data, entry.at + 2, "HI", 2, len(text))


def break_chain(draw: st.DrawFn, data: bytearray) -> None:
    """Directories that follow themselves, or lie anywhere."""
    try:
        found = layout(bytes(data))
    except struct.error:
        return
    targets = [*found.directories, *found.links, 0, 8, len(data) - 2, 2**31, 2**32 - 1]
    _put(data, draw(st.sampled_from(found.links)), "I", draw(st.sampled_from(targets)))


def break_bytes(draw: st.DrawFn, data: bytearray) -> None:
    """A few bytes that are changed anywhere."""
    for _ in range(draw(st.integers(1, 8))):
        if data:
            data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))


BREAKERS = (
    break_number, break_number, break_type, break_tag, break_wide, break_doubles, break_text, break_chain,
    break_bytes,
)  # fmt: skip


def outcome(path: Path, model: Any) -> str:
    """What became of a raster: ``refused``, ``right``, ``looked at`` if it claims to be large, or ``unstable`` if
    GDAL itself reads other pixels each time.

    Raises:
        AssertionError: The product is not true to it, or something was left behind.
        Exception: Any that is not ours.
    """
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "fine.tif")
        try:
            with RasterSource(path) as source:
                height, width = source.shape
                if height * width * source.bands > UPSCALED:
                    source.sample()
                    source.read(
                        Window(height - min(64, height), 0, min(64, height), min(64, width))
                    )
                    return "looked at"
            ultrares.upscale_scene(path, target, scale=2, model=model)
            report = ultrares.check(target, path)
        except UltraresError:
            left = [file.name for file in Path(folder).iterdir()]
            assert not left, f"left behind: {left}"
            return "refused"
        if not report.ok and not _reads_alike(path):
            return "unstable"
        assert report.ok, f"not true: {report.problems}"
        return "right"


def _reads_alike(path: Path) -> bool:
    """Whether GDAL reads the same pixels twice; of blocks longer than a header says it may not."""
    images = []
    for fill in (0, 255):
        # Memory that was used before, in which GDAL leaves what it does not decode.
        np.full(2**20, fill, np.uint8)
        with rasterio.open(path) as dataset:
            images.append(dataset.read())
    return np.array_equal(images[0], images[1], equal_nan=images[0].dtype.kind == "f")


def outcomes(paths: list[Path]) -> Iterator[dict[str, Any]]:
    """The outcome of each of several files, with its seconds and the process's peak memory since the start."""
    model = ultrares.load("bicubic")
    for path in paths:
        begun = time.monotonic()
        try:
            end = outcome(path, model)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what is looked for
            end = f"{type(error).__name__}: {error}"
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        yield {"file": path.name, "end": end, "seconds": time.monotonic() - begun, "peak": peak}


if __name__ == "__main__":
    warnings.simplefilter("ignore", NotGeoreferencedWarning)
    limit = int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    for result in outcomes([Path(name) for name in sys.argv[2:]]):
        print(json.dumps(result), flush=True)  # noqa: T201 - the benchmark reads it
