"""Pixels that come from a Zarr: what ultrares writes, and what others write by CF's conventions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from ultrares.errors import RasterError
from ultrares.scene.overview import validity
from ultrares.scene.profile import SceneProfile
from ultrares.scene.source import SAMPLE_SIDE, Profiled
from ultrares.scene.windows import inside, tiles, whole
from ultrares.scene.zarr_layout import IMAGE, MASK, read_bands, read_place, read_tags
from ultrares.scene.zarr_sink import import_zarr
from ultrares.types import Shape, Window

_ROWS = ("y", "lat", "latitude", "northing")
_COLS = ("x", "lon", "longitude", "easting")

UNEVEN = 1e-3
"""Of a pixel: how far coordinates may lie from evenly spaced ones, which is what float32 leaves."""


class _Variable(NamedTuple):
    name: str
    array: Any


class ZarrSource(Profiled):
    """A variable of a Zarr group, with per-band validity.

    Args:
        path: The group's folder.
        variable: Which of its variables; needed where there are several.

    Attributes:
        profile: What the group says of itself.

    Raises:
        RasterError: It is missing or damaged, or there is no raster in it, or several.
        MissingExtraError: The zarr library is not installed.
    """

    def __init__(self, path: str | Path, variable: str | None = None) -> None:
        self._path = str(path)
        zarr: Any = import_zarr()
        if not Path(path).exists():
            raise RasterError(f"{path} does not exist")
        try:
            node = zarr.open(self._path, mode="r")
        except Exception as error:
            raise RasterError(f"{path} is no Zarr that can be read: {_reason(error)}") from error
        if not hasattr(node, "arrays"):
            raise RasterError(f"{path} is a bare array; pass the group that it belongs to")
        self._group = node
        self._name, self._image = self._choose(variable)
        if 0 in self._image.shape:
            raise RasterError(f"{path} has no pixels")
        self._mask = node[MASK] if self._name == IMAGE and MASK in node else None
        self.profile = self._profile()

    def read(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """Pixels and validity of a window inside the scene, both (C, h, w).

        Raises:
            RasterError: The group is damaged there.
        """
        assert inside(window, self.shape), f"{window} leaves the scene of {self.shape}"
        rows = slice(window.row, window.row + window.height)
        cols = slice(window.col, window.col + window.width)
        return self._guarded(lambda: self._read(rows, cols), window)

    def sample(self) -> tuple[np.ndarray, np.ndarray]:
        """Nearest pixels of the whole scene, at most 1024 a side, and their validity.

        Raises:
            RasterError: The group is damaged, or no pixel of the whole scene is valid.
        """
        rows, cols = (_spread(side) for side in self.shape)
        lit = ~np.array(self.profile.alpha)
        array, valid = self._guarded(lambda: self._pick(rows, cols), "a reduced view")
        if not valid[lit].any() and not any(
            self.read(window)[1][lit].any() for window in tiles(whole(self.shape), 2048)
        ):
            raise RasterError(
                f"{self._path} has no valid pixel: all of it is nodata, masked or not finite"
            )
        return array, valid

    def describe(self) -> dict[str, Any]:
        """The raster as ultrares sees it, as plain values."""
        profile, (_, valid) = self.profile, self.sample()
        return {
            "path": self._path,
            "driver": f"Zarr v{self._group.metadata.zarr_format}",
            "variable": self._name,
            "width": self.shape.width,
            "height": self.shape.height,
            "bands": self.bands,
            "band_names": [band.description for band in profile.bands],
            "dtype": str(self.dtype),
            "nodata": profile.nodata,
            "alpha": any(profile.alpha),
            "mask": profile.masked,
            "crs": None if profile.crs is None else profile.crs.to_string(),
            "transform": None if profile.transform is None else list(profile.transform)[:6],
            "gcps": len(profile.gcps),
            "rpcs": profile.rpcs is not None,
            "valid_share": float(valid[~np.array(profile.alpha)].mean()),
            "tags": dict(profile.tags.get("", {})),
        }

    def __enter__(self) -> Self:
        """Return the source itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing is held open."""

    def _choose(self, variable: str | None) -> _Variable:
        """The variable that was asked for, or the only one that is a raster."""
        found = {name: array for name, array in self._group.arrays() if _is_raster(array)}
        found.pop(MASK, None)
        names = ", ".join(sorted(found))
        if variable is not None:
            if variable not in found:
                raise RasterError(
                    f"{self._path} has no raster {variable!r}; it has {names or 'none'}"
                )
            return _Variable(variable, found[variable])
        if IMAGE in found:
            return _Variable(IMAGE, found[IMAGE])
        if len(found) != 1:
            raise RasterError(
                f"{self._path} holds {'several rasters: ' + names if found else 'no raster'}; "
                "pass a group with one variable of dimensions (band, y, x) or (y, x)"
                + (", or choose one by --asset" if found else "")
            )
        return _Variable(*found.popitem())

    def _profile(self) -> SceneProfile:
        image = self._image
        said, own = dict(self._group.attrs), dict(image.attrs)
        if image.metadata.zarr_format == 2:
            # Version 2 knows one fill value, which means no data; in version 3 an attribute says so.
            own.setdefault("_FillValue", image.fill_value)
        mapping = self._mapping(own)
        crs, transform, gcps, rpcs = read_place(mapping)
        if transform is None and not gcps:
            transform = self._transform_of_centres()
        count = 1 if image.ndim == 2 else image.shape[0]
        return SceneProfile(
            shape=Shape(*image.shape[-2:]),
            dtype=np.dtype(image.dtype),
            bands=read_bands(said, own, count, np.dtype(image.dtype)),
            crs=crs,
            transform=transform,
            gcps=gcps,
            rpcs=rpcs,
            tags=read_tags(said),
            masked=self._mask is not None,
        )

    def _mapping(self, own: Mapping[str, Any]) -> dict[str, Any]:
        """Attributes of the variable that places the raster on the map."""
        for name in (own.get("grid_mapping"), "spatial_ref", "crs"):
            if isinstance(name, str) and name in self._group:
                return dict(self._group[name].attrs)
        return {}

    def _transform_of_centres(self) -> Affine | None:
        """The transform that the coordinates of rows and columns say."""
        rows, cols = _dimensions(self._image)[-2:]
        if rows not in self._group or cols not in self._group:
            return None
        (top, down), (left, right) = (
            self._axis(np.asarray(self._group[name][:], dtype=np.float64), name)
            for name in (rows, cols)
        )
        return Affine(right, 0, left, 0, down, top)

    def _axis(self, centres: NDArray[np.float64], name: str) -> tuple[float, float]:
        """Where the first pixel begins, and how far it is to the next."""
        if centres.size < 2:
            raise RasterError(
                f"{self._path} has one coordinate in {name}, which tells no pixel size"
            )
        step = float((centres[-1] - centres[0]) / (centres.size - 1))
        even = centres[0] + step * np.arange(centres.size)
        if not step or np.abs(centres - even).max() > UNEVEN * abs(step):
            raise RasterError(
                f"{self._path} has coordinates in {name} that are not evenly spaced; resample it first"
            )
        return float(centres[0]) - step / 2, step

    def _read(self, rows: slice, cols: slice) -> tuple[np.ndarray, np.ndarray]:
        array = np.asarray(self._image[..., rows, cols])
        mask = None if self._mask is None else np.asarray(self._mask[rows, cols])
        return self._judged(array, mask)

    def _pick(
        self, rows: NDArray[np.intp], cols: NDArray[np.intp]
    ) -> tuple[np.ndarray, np.ndarray]:
        bands = () if self._image.ndim == 2 else (slice(None),)
        array = np.asarray(self._image.oindex[(*bands, rows, cols)])
        mask = None if self._mask is None else np.asarray(self._mask.oindex[rows, cols])
        return self._judged(array, mask)

    def _judged(self, array: np.ndarray, mask: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        array = array.reshape(-1, *array.shape[-2:])
        return array, validity(array, self.profile.nodata, mask, self.profile.alpha)

    def _guarded(
        self, action: Callable[[], tuple[np.ndarray, np.ndarray]], place: object
    ) -> tuple[np.ndarray, np.ndarray]:
        try:
            return action()
        # zarr, its codecs and the operating system each have errors of their own.
        except Exception as error:
            raise RasterError(
                f"{self._path} is damaged: {place} cannot be read ({_reason(error)})"
            ) from error


def _dimensions(array: Any) -> tuple[str, ...]:
    """Names of the dimensions, in version 3 or as xarray writes them in version 2."""
    names = getattr(array.metadata, "dimension_names", None) or array.attrs.get("_ARRAY_DIMENSIONS")
    return tuple(str(name).lower() for name in names or ())


def _is_raster(array: Any) -> bool:
    names = _dimensions(array)
    return (
        len(names) in (2, 3)
        and names[-2] in _ROWS
        and names[-1] in _COLS
        and np.dtype(array.dtype).kind in "iuf"
    )


def _spread(side: int) -> NDArray[np.intp]:
    """At most 1024 positions, evenly spread, at the centres of as many equal parts."""
    count = min(SAMPLE_SIDE, side)
    return ((np.arange(count) + 0.5) * side / count).astype(np.intp)


def _reason(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0]
