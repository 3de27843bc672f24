"""Where pixels come from: rasters on disk and arrays in memory, read window by window."""

from __future__ import annotations

import warnings
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import rasterio
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader
from rasterio.windows import Window as RasterWindow

from ultrares.errors import InputError, RasterError
from ultrares.scene.profile import BandProfile, SceneProfile, Tags
from ultrares.scene.windows import inside, tiles, whole
from ultrares.types import Shape, Window

SAMPLE_SIDE = 1024
"""Side of the decimated read that a scene's radiometry is taken from."""

LARGEST_NODATA = 2**53
"""Nodata passes through GDAL and rasterio as float64, which counts by one up to here."""

_UNPORTABLE = ("IMAGE_STRUCTURE", "DERIVED_SUBDATASETS", "SUBDATASETS", "RPC", "COLOR_PROFILE")
_KINDS = "biuf"


def raster_window(window: Window) -> RasterWindow:
    """The same window as rasterio writes it."""
    return RasterWindow(window.col, window.row, window.width, window.height)


class _Profiled:
    """What every source knows from its profile."""

    profile: SceneProfile

    @property
    def shape(self) -> Shape:
        """Height and width in pixels."""
        return self.profile.shape

    @property
    def bands(self) -> int:
        """Number of bands, alpha included."""
        return len(self.profile.bands)

    @property
    def dtype(self) -> np.dtype:
        """Data type of the pixels."""
        return self.profile.dtype


class RasterSource(_Profiled):
    """A raster file that rasterio can open, with per-band validity.

    A pixel of a band is valid if the band's mask (nodata, alpha or a mask band) says so and its value is
    finite.

    Args:
        path: A file, or anything that GDAL opens, such as a ``/vsi`` path.

    Raises:
        RasterError: It is missing, unreadable, or of a kind that cannot be upscaled.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = str(path)
        self._sampled: tuple[np.ndarray, np.ndarray] | None = None
        self._dataset = _open(self._path)
        try:
            _refuse(self._path, self._dataset)
            self.profile = read_profile(self._dataset)
        except BaseException:
            self._dataset.close()
            raise

    def read(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """Pixels and validity of a window inside the scene, both (C, h, w).

        Raises:
            RasterError: The file is damaged there.
        """
        assert inside(window, self.shape), f"{window} leaves the scene of {self.shape}"
        return self._read(window=raster_window(window))

    def sample(self) -> tuple[np.ndarray, np.ndarray]:
        """Nearest pixels of the whole scene, at most 1024 a side, and their validity.

        Raises:
            RasterError: The file is damaged, or no pixel of the whole scene is valid.
        """
        if self._sampled is None:
            size = [min(SAMPLE_SIDE, side) for side in self.shape]
            array, valid = self._read(out_shape=(self.bands, *size))
            if not self._lit(valid).any():
                self._refuse_if_empty()
            self._sampled = array, valid
        return self._sampled

    def describe(self) -> dict[str, Any]:
        """The raster as ultrares sees it, as plain values."""
        profile, (_, valid) = self.profile, self.sample()
        return {
            "path": self._path,
            "driver": self._dataset.driver,
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
            "valid_share": float(self._lit(valid).mean()),
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
        """Close the file."""
        self._dataset.close()

    def _lit(self, valid: np.ndarray) -> np.ndarray:
        """Validity of the bands that are not alpha."""
        return valid[~np.array(self.profile.alpha)]

    def _refuse_if_empty(self) -> None:
        """Look at every pixel, because a sample can miss the few that are valid."""
        for window in tiles(whole(self.shape), 2048):
            if self._lit(self.read(window)[1]).any():
                return
        raise RasterError(
            f"{self._path} has no valid pixel: all of it is nodata, masked or not finite"
        )

    def _read(self, **where: Any) -> tuple[np.ndarray, np.ndarray]:
        try:
            array = self._dataset.read(**where)
            valid = self._dataset.read_masks(**where) > 0
        except RasterioError as error:
            place = where.get("window", "a reduced view")
            raise RasterError(
                f"{self._path} is damaged: {place} cannot be read ({_reason(error)})"
            ) from error
        for band, alpha in enumerate(self.profile.alpha):
            if alpha:
                valid[band] = True
        if array.dtype.kind == "f":
            valid &= np.isfinite(array)
        return array, valid


class ArraySource(_Profiled):
    """An array in memory.

    Args:
        array: Shape (C, H, W), integers or floats.
        valid: Validity of the same shape; None takes every finite value as valid.

    Raises:
        InputError: The array has another shape or type, or nothing in it is valid.
    """

    def __init__(self, array: np.ndarray, valid: np.ndarray | None = None) -> None:
        if array.ndim != 3 or 0 in array.shape:
            raise InputError(f"an image must have shape (C, H, W) without zeros, not {array.shape}")
        if array.dtype.kind not in "iuf" or array.dtype == np.float16:
            raise InputError(
                f"an image of {array.dtype} cannot be upscaled: pass integers or float32"
            )
        self._array = array
        self._valid = np.isfinite(array) if valid is None else valid & np.isfinite(array)
        if not self._valid.any():
            raise InputError("the image has no valid pixel: nothing in it is finite")
        bands, height, width = array.shape
        self.profile = SceneProfile(
            Shape(height, width), array.dtype, tuple(BandProfile() for _ in range(bands))
        )

    def read(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """Pixels and validity of a window inside the image, both (C, h, w)."""
        assert inside(window, self.shape), f"{window} leaves the image of {self.shape}"
        rows = slice(window.row, window.row + window.height)
        cols = slice(window.col, window.col + window.width)
        return self._array[:, rows, cols], self._valid[:, rows, cols]

    def sample(self) -> tuple[np.ndarray, np.ndarray]:
        """Every n-th pixel of the image, at most 1024 a side, and their validity."""
        steps = [-(-side // SAMPLE_SIDE) for side in self.shape]
        array, valid = (
            self._array[:, :: steps[0], :: steps[1]],
            self._valid[:, :: steps[0], :: steps[1]],
        )
        return (array, valid) if valid.any() else (self._array, self._valid)


def _open(path: str) -> DatasetReader:
    if "://" not in path and not path.startswith("/vsi") and ":" not in Path(path).name:
        if not Path(path).exists():
            raise RasterError(f"{path} does not exist")
        if Path(path).is_dir():
            raise RasterError(f"{path} is a folder; pass the raster file in it")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            return rasterio.open(path)
    except RasterioError as error:
        raise RasterError(f"{path} is not a raster that GDAL can read: {_reason(error)}") from error


def _refuse(path: str, dataset: DatasetReader) -> None:
    """Refuse what cannot be read unambiguously, saying what to do instead."""
    if dataset.subdatasets and dataset.count == 0:
        raise RasterError(
            f"{path} is a container of several rasters; pass one of them, such as "
            f"{dataset.subdatasets[0]!r}"
        )
    if dataset.count == 0 or 0 in dataset.shape:
        raise RasterError(f"{path} has no pixels")
    types = sorted(set(dataset.dtypes))
    if len(types) > 1:
        raise RasterError(
            f"{path} mixes the data types {', '.join(types)}; convert it to one of them"
        )
    if "complex" in types[0]:
        raise RasterError(
            f"{path} holds complex numbers ({types[0]}), whose phase cannot be upscaled; "
            "pass amplitude or intensity"
        )
    if np.dtype(types[0]).kind not in _KINDS:
        raise RasterError(
            f"{path} holds {types[0]}, which is no number of a kind that can be upscaled"
        )
    _refuse_nodata(path, dataset)
    if ColorInterp.palette in dataset.colorinterp:
        raise RasterError(
            f"{path} has a colour palette, whose indices cannot be averaged; expand it first with "
            f"`gdal_translate -expand rgb {path} expanded.tif`"
        )


def _refuse_nodata(path: str, dataset: DatasetReader) -> None:
    """Refuse what no GeoTIFF could say about missing pixels."""
    values = [
        value
        for value, colour in zip(dataset.nodatavals, dataset.colorinterp, strict=True)
        if colour != ColorInterp.alpha
    ]
    if len({repr(value) for value in values}) > 1:
        raise RasterError(
            f"{path} has bands of different nodata values ({', '.join(map(str, values))}); "
            "convert it to one value for all bands"
        )
    # rasterio reports the largest unsigned value as none at all, though GDAL masks by it.
    lost = MaskFlags.nodata in dataset.mask_flag_enums[0] and dataset.nodatavals[0] is None
    wide = "int64" in dataset.dtypes[0]
    if lost or (wide and abs(dataset.nodatavals[0] or 0) > LARGEST_NODATA):
        raise RasterError(
            f"{path} has a 64-bit nodata value too large to be told from its neighbours; "
            "convert it to another nodata value or to 32 bits"
        )


def read_profile(dataset: DatasetReader) -> SceneProfile:
    """Everything that an open raster says about itself."""
    gcps, gcp_crs = dataset.gcps
    flags = {flag for band in dataset.mask_flag_enums for flag in band}
    return SceneProfile(
        shape=Shape(dataset.height, dataset.width),
        dtype=np.dtype(dataset.dtypes[0]),
        bands=tuple(_band(dataset, index) for index in dataset.indexes),
        crs=dataset.crs or gcp_crs,
        transform=None if gcps or dataset.transform.is_identity else dataset.transform,
        gcps=tuple(gcps),
        rpcs=dataset.rpcs,
        tags=_tags(dataset, 0),
        masked=MaskFlags.per_dataset in flags and MaskFlags.alpha not in flags,
    )


def _band(dataset: DatasetReader, index: int) -> BandProfile:
    at = index - 1
    return BandProfile(
        description=dataset.descriptions[at],
        colorinterp=dataset.colorinterp[at],
        scale=dataset.scales[at],
        offset=dataset.offsets[at],
        unit=dataset.units[at],
        nodata=dataset.nodatavals[at],
        tags=_tags(dataset, index),
    )


def _tags(dataset: DatasetReader, index: int) -> Tags:
    """Metadata that stays true of a finer raster; index 0 is the raster itself."""
    spaces = [space for space in dataset.tag_namespaces(index) if space not in _UNPORTABLE]
    tags = {
        space: dataset.tags(index, ns=space) for space in spaces if not space.startswith("xml:")
    }
    own = dataset.tags(index)
    tags[""] = {key: value for key, value in own.items() if not key.startswith("STATISTICS_")}
    return tags


def _reason(error: Exception) -> str:
    """The first line of what GDAL said, of the error or of its cause."""
    text = str(error.__cause__ or error).strip() or type(error).__name__
    return text.splitlines()[0]
