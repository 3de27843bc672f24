"""A STAC item beside a product: where it lies, what it holds, and how it was made.

Items are plain JSON and written as such; pystac and its schemas check them in the tests.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from ultrares.errors import OutputError
from ultrares.scene.footprint import footprint
from ultrares.scene.opening import FileSink
from ultrares.scene.profile import SceneProfile
from ultrares.scene.publishing import rename_to_new
from ultrares.scene.statistics import Statistics
from ultrares.scene.zarr_layout import is_zarr

EXTENSIONS = {
    "proj": "https://stac-extensions.github.io/projection/v2.0.0/schema.json",
    "raster": "https://stac-extensions.github.io/raster/v2.0.0/schema.json",
    "processing": "https://stac-extensions.github.io/processing/v1.2.0/schema.json",
    "file": "https://stac-extensions.github.io/file/v2.1.0/schema.json",
}
"""Schemas of the extensions that an item may use, by the prefix of their fields."""

COG_TYPE = "image/tiff; application=geotiff; profile=cloud-optimized"
ZARR_TYPE = "application/vnd.zarr; version=3"

OLDEST = "1900-01-01T00:00:00Z"
"""Start of the interval in which a scene was taken whose date nobody tells."""

_DATES = (
    ("IMAGERY", "ACQUISITIONDATETIME"),
    ("", "ACQUISITIONDATETIME"),
    ("", "DATATAKE_1_DATATAKE_SENSING_START"),
    ("", "PRODUCT_START_TIME"),
    ("", "DATE_ACQUIRED"),
    ("", "TIFFTAG_DATETIME"),
)
"""Metadata items that tell a scene's date, the most trusted first; the last may be that of a file."""


@dataclass(frozen=True)
class Written:
    """A file that the item speaks of.

    Attributes:
        key: Of the asset.
        sink: What writes it.
        profile: Of its raster.
        title: For people.
        roles: As STAC knows them.
    """

    key: str
    sink: FileSink
    profile: SceneProfile
    title: str
    roles: tuple[str, ...]


@dataclass(frozen=True)
class Origins:
    """What a product was made from and by.

    Attributes:
        source: Path or URL of the scene's file.
        item: Path of the STAC item that the scene was found through; None without one.
        times: ``datetime``, ``start_datetime`` and ``end_datetime`` as STAC has them.
        model: Name, checksum and options, for ``ultrares:model``.
        version: Of ultrares.
        lineage: How it was made, in words.
    """

    source: str
    item: str | None
    times: Mapping[str, str | None]
    model: Mapping[str, Any]
    version: str
    lineage: str


class StacFile:
    """The item's file, published with the products that it names.

    Args:
        target: Path of the item.
        files: What it names, the product first, each prepared before the item is.
        origins: What the product was made from.
        overwrite: Whether the target may be replaced.
    """

    def __init__(
        self, target: Path, files: Sequence[Written], origins: Origins, *, overwrite: bool
    ) -> None:
        self._target, self._files, self._origins = target, files, origins
        self._overwrite = overwrite
        self._staging = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
        self._replaced = self._staging.with_suffix(".old.part")

    def prepare(self) -> None:
        """Write the item under a hidden name.

        Raises:
            OutputError: The disk is full.
        """
        text = json.dumps(item_of(self._target, self._files, self._origins), indent=2)
        try:
            with self._staging.open("w", encoding="utf-8") as file:
                file.write(text + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise OutputError(
                f"{self._target} cannot be written: {error.strerror}; nothing was published"
            ) from error

    def keep_replaced(self) -> None:
        """Keep what publishing will replace until the file is left."""
        if self._overwrite and self._target.exists():
            self._replaced.write_bytes(self._target.read_bytes())

    def publish(self) -> None:
        """Give the item its name.

        Raises:
            OutputError: The target appeared meanwhile, or cannot be replaced.
        """
        try:
            if self._overwrite:
                self._staging.replace(self._target)
            else:
                rename_to_new(self._staging, self._target)
        except FileExistsError as error:
            raise OutputError(
                f"{self._target} appeared while the result was computed; it was left as it is"
            ) from error
        except OSError as error:
            raise OutputError(f"{self._target} cannot be written: {error.strerror}") from error

    def withdraw(self) -> None:
        """Take a published item back, and put back what it replaced."""
        if self._staging.exists():
            return
        if self._replaced.exists():
            self._replaced.replace(self._target)
        else:
            self._target.unlink(missing_ok=True)

    def __enter__(self) -> StacFile:
        """Return the file itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """Remove what is hidden; a published item stays."""
        for path in (self._staging, self._replaced):
            path.unlink(missing_ok=True)


def item_of(target: Path, files: Sequence[Written], origins: Origins) -> dict[str, Any]:
    """The item as plain values; it has no time of its own, so that the same run makes the same item."""
    profile = files[0].profile
    place = footprint(profile)
    item: dict[str, Any] = {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": [],
        "id": target.stem,
        "geometry": None if place is None else place.geometry,
    }
    if place is not None:
        item["bbox"] = place.bbox
    item["properties"] = {
        "datetime": None,
        **origins.times,
        **_projection(profile),
        "processing:level": "L4",
        "processing:lineage": origins.lineage,
        "processing:software": {"ultrares": origins.version},
        "ultrares:model": dict(origins.model),
    }
    item["links"] = [_derived_from(target.parent, origins)]
    item["assets"] = {file.key: _asset(target.parent, file) for file in files}
    inside = _within(target.parent, origins.source)
    if inside is not None:
        item["assets"]["source"] = {
            "href": inside,
            "title": "The scene that it was made from",
            "roles": ["source"],
        }
    # An extension that is named and not used makes an item invalid: pixels of no place have no size, say.
    used = {field.partition(":")[0] for field in _fields(item)}
    item["stac_extensions"] = [schema for prefix, schema in EXTENSIONS.items() if prefix in used]
    return item


def _fields(value: object) -> Iterator[str]:
    """The names of all fields, at any depth."""
    if isinstance(value, dict):
        yield from value
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from _fields(part)


def times_of(profile: SceneProfile, source: str) -> dict[str, str | None]:
    """When a scene was taken, by its metadata; else an interval that ends when its file was written."""
    for space, name in _DATES:
        found = _instant(profile.tags.get(space, {}).get(name, ""))
        if found is not None:
            return {"datetime": found}
    try:
        end = datetime.fromtimestamp(int(Path(source).stat().st_mtime), UTC)
    except OSError:
        end = datetime.now(UTC).replace(microsecond=0)
    return {"datetime": None, "start_datetime": OLDEST, "end_datetime": _text(end)}


def checksum(path: Path) -> str:
    """The SHA-256 of a file as a multihash in hexadecimal digits."""
    with path.open("rb") as file:
        return "1220" + hashlib.file_digest(file, "sha256").hexdigest()


def _instant(text: str) -> str | None:
    """A date in any of the forms that metadata have, in UTC if they name no zone."""
    plain = text.strip()
    if plain[4:5] == ":" and plain[7:8] == ":":
        plain = plain.replace(":", "-", 2)
    try:
        found = datetime.fromisoformat(plain)
    except ValueError:
        return None
    return _text(found.replace(tzinfo=found.tzinfo or UTC).astimezone(UTC))


def _text(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def _projection(profile: SceneProfile) -> dict[str, Any]:
    found: dict[str, Any] = {"proj:shape": list(profile.shape)}
    if profile.transform is not None:
        found["proj:transform"] = list(profile.transform)[:6]
    if profile.crs is not None:
        code = profile.crs.to_authority()
        found["proj:code"] = None if code is None else ":".join(code)
        if code is None:
            found["proj:wkt2"] = profile.crs.to_wkt(version="WKT2_2019")
    return found


def _asset(folder: Path, file: Written) -> dict[str, Any]:
    path, product = file.sink.target, file.sink.product
    zarr = is_zarr(path)
    href = _within(folder, str(path)) or path.resolve().as_uri()
    said: dict[str, Any] = {
        "href": href,
        "type": ZARR_TYPE if zarr else COG_TYPE,
        "title": file.title,
        "roles": list(file.roles),
        "bands": [
            _band(file.profile, index, found) for index, found in enumerate(file.sink.statistics)
        ],
        **_projection(file.profile),
    }
    if zarr:
        sizes = (path.stat().st_size for path in product.rglob("*") if path.is_file())
        said["file:size"] = sum(sizes)
    else:
        said["file:size"] = product.stat().st_size
        said["file:checksum"] = checksum(product)
    return said


def _band(profile: SceneProfile, index: int, found: Statistics | None) -> dict[str, Any]:
    band = profile.bands[index]
    said: dict[str, Any] = {
        "name": band.description or f"band {index + 1}",
        "data_type": profile.dtype.name,
    }
    if band.nodata is not None:
        said["nodata"] = _number(band.nodata)
    if band.unit:
        said["unit"] = band.unit
    if (band.scale, band.offset) != (1.0, 0.0):
        said["raster:scale"], said["raster:offset"] = band.scale, band.offset
    resolution = _resolution(profile)
    if resolution is not None:
        said["raster:spatial_resolution"] = resolution
    if found is not None:
        said["statistics"] = {name: _number(value) for name, value in vars(found).items()}
    return said


def _resolution(profile: SceneProfile) -> float | None:
    """Side of a pixel in metres, where the reference system counts in something like them."""
    if profile.transform is None or profile.crs is None or not profile.crs.is_projected:
        return None
    area = abs(profile.transform.determinant)
    return math.sqrt(area) * profile.crs.linear_units_factor[1]


def _number(value: float) -> float | int | str:
    """A number as STAC has it in JSON, which knows no infinities."""
    if math.isfinite(value):
        return int(value) if float(value).is_integer() and abs(value) < 2**53 else float(value)
    return "nan" if np.isnan(value) else ("inf" if value > 0 else "-inf")


def _derived_from(folder: Path, origins: Origins) -> dict[str, Any]:
    origin = origins.item or origins.source
    local = "://" not in origin
    href = _within(folder, origin) or (os.path.relpath(origin, folder) if local else origin)
    said = {"rel": "derived_from", "href": href, "title": Path(origin).name}
    return said | ({"type": "application/geo+json"} if origins.item else {})


def _within(folder: Path, path: str) -> str | None:
    """A path relative to a folder, if it lies in it."""
    if "://" in path:
        return None
    try:
        return "./" + Path(path).resolve().relative_to(folder.resolve()).as_posix()
    except ValueError:
        return None
