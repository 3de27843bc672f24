"""STAC items as input: which raster an item offers, without leaving the item's folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ultrares.errors import RasterError

_RASTER_TYPES = (
    "image/tiff",
    "image/geotiff",
    "image/vnd.stac.geotiff",
    "image/jp2",
    "application/vnd+zarr",
    "application/vnd.zarr",
)
_RASTER_SUFFIXES = (".tif", ".tiff", ".jp2", ".vrt", ".zarr")
_REMOTE = ("http", "https", "s3", "gs", "az")
_ASIDE = {"thumbnail", "overview", "metadata", "source", "visual"}


def is_item(path: str | Path) -> bool:
    """Whether a path names a STAC item: by its suffix."""
    return Path(str(path)).suffix.lower() in (".json", ".geojson")


def read_item(path: str | Path) -> dict[str, Any]:
    """A STAC item.

    Raises:
        RasterError: It is missing, or no item.
    """
    try:
        item = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise RasterError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise RasterError(f"{path} is no JSON: {error}") from error
    usable = (
        isinstance(item, dict)
        and item.get("type") == "Feature"
        and "stac_version" in item
        and isinstance(item.get("assets"), dict)
    )
    if not usable:
        raise RasterError(f"{path} is no STAC item: pass an item, not a catalogue or other JSON")
    return item


def asset_path(path: str | Path, asset: str | None = None) -> str:
    """Where the raster of an item is.

    Args:
        path: The item.
        asset: Key of its asset; needed where several are rasters of data.

    Returns:
        A path inside the item's folder, or a URL.

    Raises:
        RasterError: There is no such asset, or several, or it lies outside the item's folder.
    """
    assets = read_item(path)["assets"]
    key = asset if asset is not None else _only_raster(path, assets)
    if key not in assets:
        raise RasterError(f"{path} has no asset {key!r}; it has {', '.join(sorted(assets))}")
    href = assets[key].get("href") if isinstance(assets[key], dict) else None
    if not isinstance(href, str) or not href:
        raise RasterError(f"{path}: asset {key!r} has no href")
    return _resolved(Path(path), key, href)


def item_times(path: str | Path) -> dict[str, str | None] | None:
    """When an item says that its scene was taken; None if it does not."""
    said = read_item(path).get("properties")
    if not isinstance(said, dict):
        return None
    names = ("datetime", "start_datetime", "end_datetime")
    found = {name: said[name] for name in names if isinstance(said.get(name), str)}
    if "datetime" not in found and len(found) < 2:
        return None
    return {"datetime": None, **found}


def _only_raster(path: str | Path, assets: dict[str, Any]) -> str:
    """The key of the only raster of data."""
    rasters = {key: roles for key, asset in assets.items() if (roles := _roles(asset)) is not None}
    chosen = [key for key, roles in rasters.items() if "data" in roles]
    chosen = chosen or [key for key, roles in rasters.items() if not roles & _ASIDE]
    if len(chosen) != 1:
        offers = f"several rasters ({', '.join(sorted(chosen))})" if chosen else "no raster"
        raise RasterError(
            f"{path} has {offers}; choose an asset by --asset: {', '.join(sorted(assets)) or 'none'}"
        )
    return chosen[0]


def _roles(asset: Any) -> set[str] | None:
    """The roles of an asset that is a raster; None if it is none."""
    if not isinstance(asset, dict):
        return None
    kind = str(asset.get("type") or "").split(";")[0].strip().lower()
    suffix = Path(str(asset.get("href", "")).split("?")[0]).suffix.lower()
    if not (kind in _RASTER_TYPES or (not kind and suffix in _RASTER_SUFFIXES)):
        return None
    roles = asset.get("roles")
    return set(map(str, roles)) if isinstance(roles, list) else set()


def _resolved(item: Path, key: str, href: str) -> str:
    """An href as something to open: a URL, or a path that does not leave the item's folder."""
    scheme = href.split("://")[0] if "://" in href else ""
    if scheme in _REMOTE:
        return href
    folder = item.parent.resolve()
    local = (folder / href).resolve()
    if scheme or not local.is_relative_to(folder):
        raise RasterError(
            f"{item}: asset {key!r} points to {href}, outside the item's folder; pass that file itself if you "
            "trust it"
        )
    if not local.exists():
        raise RasterError(f"{item}: asset {key!r} points to {href}, which does not exist")
    return str(item.parent / href)
