"""Where pixels come from: rasters on disk and arrays in memory, read window by window."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from rasterio._err import CPLE_BaseError
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import CRSError, RasterioError
from rasterio.io import DatasetReader
from rasterio.windows import Window as RasterWindow

from ultrares.errors import InputError, RasterError
from ultrares.scene.calibration import Calibration
from ultrares.scene.choice import (
    ALL_OF_IT,
    Choice,
    bands_of_light,
    calibrations,
    chosen_bands,
    labels,
    open_chosen,
    reason,
)
from ultrares.scene.names import shown
from ultrares.scene.profile import BandProfile, SceneProfile, Tags
from ultrares.scene.refusal import refuse, refuse_place
from ultrares.scene.remote import environment
from ultrares.scene.sampling import MOST_SCANNED, searched, squares, written_blocks
from ultrares.scene.windows import inside, shared
from ultrares.types import Shape, Window

SAMPLE_SIDE = 1024
"""Side of the decimated read that a scene's radiometry is taken from."""

SAMPLED_VALUES = 32 << 20
"""Values that a sample holds at most: of scenes with many bands it is smaller."""

_UNPORTABLE = (
    "IMAGE_STRUCTURE",
    "DERIVED_SUBDATASETS",
    "SUBDATASETS",
    "OVERVIEWS",
    "LocationInfo",
    "RPC",
    "COLOR_PROFILE",
)

# What a header that makes no sense raises where it is looked at.
_NONSENSE = (RasterioError, CRSError, CPLE_BaseError, ValueError, OverflowError)


def raster_window(window: Window) -> RasterWindow:
    """The same window as rasterio writes it."""
    return RasterWindow(window.col, window.row, window.width, window.height)


class Profiled:
    """What every source knows from its profile."""

    profile: SceneProfile

    @property
    def shape(self) -> Shape:
        """Height and width in pixels."""
        return self.profile.shape

    def looked_at(self) -> Sequence[Window] | None:
        """The windows that a sample is made of, where it is no reduced view of the whole."""
        return None

    def written_share(self, part: Window) -> float:  # noqa: ARG002
        """Which share of a part lies in blocks that were ever written; 1 where it cannot be told."""
        return 1.0

    @property
    def bands(self) -> int:
        """Number of bands, alpha included."""
        return len(self.profile.bands)

    @property
    def dtype(self) -> np.dtype:
        """Data type of the pixels."""
        return self.profile.dtype


class RasterSource(Profiled):
    """A raster file that rasterio can open, with per-band validity.

    A pixel of a band is valid if the band's mask (nodata, alpha or a mask band) says so and its value is
    finite.

    Args:
        path: A file, the folder of a Sentinel-2 product, or anything that GDAL opens, such as a ``/vsi``
            path or a URL.
        choice: Which of its rasters and bands.

    Raises:
        RasterError: It is missing, unreadable, or of a kind that cannot be upscaled.
        OptionError: The choice names what is not there.
    """

    def __init__(self, path: str | Path, choice: Choice = ALL_OF_IT) -> None:
        self._path = str(path)
        self._name = shown(path)
        self._sampled: tuple[np.ndarray, np.ndarray] | None = None
        with environment(path):
            self._dataset = open_chosen(path, choice)
        try:
            self._bands = chosen_bands(path, self._dataset, choice)
            light = bands_of_light(path, self._dataset, choice)
            refuse(self._name, self._path, self._dataset, self._bands)
            known = calibrations(path, self._dataset, self._bands)
            self.profile = read_profile(self._dataset, self._bands, known, light)
            refuse_place(self._name, self.profile)
        except InputError:
            self._dataset.close()
            raise
        except _NONSENSE as error:
            self._dataset.close()
            raise RasterError(
                f"{self._name} says things of itself that make no sense: {reason(error)}"
            ) from error
        except BaseException:
            self._dataset.close()
            raise
        self._marked = self._missing_by_product()
        masks = self._dataset.mask_flag_enums
        self._masked_by_light = [
            bool(light) and MaskFlags.alpha in masks[band - 1] for band in self._bands
        ]

    def read(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """Pixels and validity of a window inside the scene, both (C, h, w).

        Raises:
            RasterError: The file is damaged there.
        """
        assert inside(window, self.shape), f"{window} leaves the scene of {self.shape}"
        return self._read(window=raster_window(window))

    def sample(self) -> tuple[np.ndarray, np.ndarray]:
        """Pixels from all over the scene, and their validity: a view of at most 1024 a side, or squares.

        Raises:
            RasterError: The file is damaged, or no pixel of the whole scene is valid.
        """
        if self._sampled is None:
            places = self._squares
            if places is None:
                largest = min(SAMPLE_SIDE, math.isqrt(SAMPLED_VALUES // self.bands))
                size = [min(largest, side) for side in self.shape]
                array, valid = self._read(out_shape=(self.bands, *size))
            else:
                array, valid = self._gathered(places)
            found = self._lit(valid).any()
            self._sampled = (array, valid) if found else self._first_valid()
        return self._sampled

    def looked_at(self) -> Sequence[Window] | None:
        """The windows that a sample is made of, where it is no reduced view of the whole."""
        return self._squares

    @cached_property
    def _squares(self) -> list[Window] | None:
        return squares(self._dataset, self.bands, SAMPLED_VALUES)

    @cached_property
    def _written(self) -> list[Window] | None:
        return written_blocks(self._dataset)

    def written_share(self, part: Window) -> float:
        """Which share of a part lies in blocks that were ever written; 1 where it cannot be told."""
        if self._written is None:
            return 1.0
        return sum(shared(block, part) for block in self._written) / (part.height * part.width)

    def describe(self) -> dict[str, Any]:
        """The raster as ultrares sees it, as plain values."""
        profile, (_, valid) = self.profile, self.sample()
        return {
            "path": self._name,
            "driver": self._dataset.driver,
            "subdatasets": labels(self._dataset.subdatasets),
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

    def _gathered(self, places: Sequence[Window]) -> tuple[np.ndarray, np.ndarray]:
        """The pixels of several windows side by side, (C, 1, n)."""
        parts = [self.read(place) for place in places]
        pixels, valid = (
            np.concatenate([part[i].reshape(self.bands, 1, -1) for part in parts], axis=2)
            for i in (0, 1)
        )
        return pixels, valid

    def _first_valid(self) -> tuple[np.ndarray, np.ndarray]:
        """Look at every pixel, because a sample can miss the few that are valid."""
        # With many bands a window of the usual size would take gigabytes.
        side = max(128, math.isqrt(SAMPLED_VALUES // self.bands) // 128 * 128)
        seen = 0
        for window in searched(self._dataset, min(2048, side)):
            array, valid = self.read(window)
            if self._lit(valid).any():
                return array, valid
            seen += window.height * window.width
            if seen > MOST_SCANNED:
                raise RasterError(
                    f"{self._name} has no valid pixel among the first {seen:.3g}; cut out the part that "
                    "shows something, for example with `gdal_translate -projwin`"
                )
        raise RasterError(
            f"{self._name} has no valid pixel: all of it is nodata, masked or not finite"
        )

    def _read(self, **where: Any) -> tuple[np.ndarray, np.ndarray]:
        try:
            with environment(self._path):
                array = self._dataset.read(self._bands, **where)
                valid = self._dataset.read_masks(self._bands, **where) > 0
        except (*_NONSENSE, MemoryError) as error:
            place = where.get("window", "a reduced view")
            raise RasterError(
                f"{self._name} is damaged: {place} cannot be read ({reason(error)})"
            ) from error
        valid[self._masked_by_light] = True
        alpha = np.array(self.profile.alpha)
        if alpha.any():
            # GDAL masks by alpha in rasters of two and four bands only.
            valid[~alpha] &= (array[alpha] > 0).all(axis=0)
            valid[alpha] = True
        for band, nodata in enumerate(self._marked):
            if nodata is not None:
                valid[band] &= array[band] != nodata
        if array.dtype.kind == "f":
            valid &= np.isfinite(array)
        return array, valid

    def _missing_by_product(self) -> list[float | None]:
        """For each band, the number of missing pixels where GDAL does not know of it."""
        own = self._dataset.nodatavals
        return [
            band.nodata if own[number - 1] is None else None
            for number, band in zip(self._bands, self.profile.bands, strict=True)
        ]


class ArraySource(Profiled):
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


def read_profile(
    dataset: DatasetReader,
    bands: Sequence[int] | None = None,
    known: Sequence[Calibration | None] | None = None,
    light: Sequence[int] = (),
) -> SceneProfile:
    """Everything that an open raster says about itself.

    Args:
        dataset: The raster.
        bands: Numbers of its bands, from 1; None for all.
        known: What a product's metadata say of each of them besides.
        light: Numbers of bands that are not alpha whatever they are marked as.
    """
    gcps, gcp_crs = dataset.gcps
    bands = list(dataset.indexes) if bands is None else bands
    masks = dataset.mask_flag_enums
    flags = {flag for band in bands for flag in masks[band - 1]}
    return SceneProfile(
        shape=Shape(dataset.height, dataset.width),
        dtype=np.dtype(dataset.dtypes[bands[0] - 1]),
        bands=_bands(dataset, bands, known or [None for _ in bands], light),
        crs=dataset.crs or gcp_crs,
        transform=None if gcps or dataset.transform.is_identity else dataset.transform,
        gcps=tuple(gcps),
        rpcs=dataset.rpcs,
        tags=_tags(dataset, 0),
        masked=MaskFlags.per_dataset in flags and MaskFlags.alpha not in flags,
    )


def _bands(
    dataset: DatasetReader,
    bands: Sequence[int],
    known: Sequence[Calibration | None],
    light: Sequence[int],
) -> tuple[BandProfile, ...]:
    # Each of these walks over all bands.
    scales, offsets, missing = dataset.scales, dataset.offsets, dataset.nodatavals
    names, colours, units = dataset.descriptions, dataset.colorinterp, dataset.units
    profiles = []
    for band, calibration in zip(bands, known, strict=True):
        at = band - 1
        scale, offset, nodata = scales[at], offsets[at], missing[at]
        if calibration is not None:
            nodata = calibration.nodata if nodata is None else nodata
            if (scale, offset) == (1, 0):
                scale, offset = calibration.scale, calibration.offset
        tags = _tags(dataset, band)
        colour = ColorInterp.undefined if band in light else colours[at]
        profiles.append(BandProfile(names[at], colour, scale, offset, units[at], nodata, tags))
    return tuple(profiles)


def _tags(dataset: DatasetReader, index: int) -> Tags:
    """Metadata that stays true of a finer raster; index 0 is the raster itself."""
    spaces = [space for space in dataset.tag_namespaces(index) if space not in _UNPORTABLE]
    tags = {
        space: dataset.tags(index, ns=space) for space in spaces if not space.startswith("xml:")
    }
    own = dataset.tags(index)
    tags[""] = {key: value for key, value in own.items() if not key.startswith("STATISTICS_")}
    return tags
