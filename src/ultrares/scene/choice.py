"""Which raster of a file, and which of its bands, are read: products, containers, folders and URLs."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import rasterio
from rasterio.enums import ColorInterp
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader

from ultrares.errors import OptionError, RasterError
from ultrares.scene import landsat, sentinel2
from ultrares.scene.calibration import Calibration
from ultrares.scene.names import exists, is_file_name, printable, shown, without_secrets

_SUBDATASET, _BANDS = "ULTRARES_SUBDATASET", "ULTRARES_BANDS"

SHOWN = 12
"""Subdatasets and bands that a sentence lists at most."""


@dataclass(frozen=True)
class Choice:
    """What of a file is read.

    Attributes:
        subdataset: A raster of a container, by its label, such as ``20m``, or its number from 1; None for
            the only one, or the 10 m bands of a Sentinel-2 product.
        bands: Numbers from 1 or names, in the order wanted; None for all, of a Sentinel-2 product all that
            show light. Alpha comes along; an alpha band that is among them is taken for light.
    """

    subdataset: str | None = None
    bands: tuple[str, ...] | None = None

    def tags(self) -> dict[str, str]:
        """The choice as metadata of a product, said in any case, or a product of a product would repeat it."""
        return {
            _SUBDATASET: "default" if self.subdataset is None else printable(self.subdataset),
            _BANDS: "default" if self.bands is None else printable(",".join(self.bands)),
        }

    @classmethod
    def of_tags(cls, tags: Mapping[str, str]) -> Choice:
        """What a product's metadata say that was chosen of its source."""
        subdataset, bands = (tags.get(name, "default") for name in (_SUBDATASET, _BANDS))
        return cls(
            None if subdataset == "default" else subdataset,
            None if bands == "default" else tuple(bands.split(",")),
        )


ALL_OF_IT = Choice()
"""Nothing is chosen."""


def open_chosen(path: str | Path, choice: Choice) -> DatasetReader:
    """Open the raster that was chosen.

    Raises:
        RasterError: It is missing or unreadable, or one of several must be chosen.
        OptionError: There is no such subdataset.
    """
    dataset = _open(_place(path), shown(path))
    if not dataset.subdatasets:
        if choice.subdataset is None:
            return dataset
        dataset.close()
        raise OptionError(
            f"subdataset {choice.subdataset}: {shown(path)} is no container of several rasters"
        )
    if dataset.count and choice.subdataset is None:
        return dataset
    with dataset:
        chosen = _subdataset(shown(path), dataset, choice.subdataset)
    return _open(chosen, shown(path))


def chosen_bands(path: str | Path, dataset: DatasetReader, choice: Choice) -> list[int]:
    """Numbers, from 1, of the bands to read.

    Raises:
        OptionError: There is no such band, or none is asked for.
    """
    if choice.bands is None:
        lit = sentinel2.spectral_bands(dataset) if dataset.driver == sentinel2.DRIVER else []
        return lit or list(dataset.indexes)
    bands = _named(path, dataset, choice.bands)
    return bands + [index for index in _alpha(dataset) if index not in bands]


def bands_of_light(path: str | Path, dataset: DatasetReader, choice: Choice) -> list[int]:
    """Bands that are marked as alpha and asked for by name: near infrared, often, as the fourth of four bytes."""
    if choice.bands is None:
        return []
    named = _named(path, dataset, choice.bands)
    return [index for index in _alpha(dataset) if index in named]


def _named(path: str | Path, dataset: DatasetReader, wanted: Sequence[str]) -> list[int]:
    bands = [_band(shown(path), dataset, band) for band in wanted]
    if not bands or len(set(bands)) < len(bands):
        raise OptionError(f"bands {','.join(wanted)}: name at least one, and none twice")
    return bands


def _alpha(dataset: DatasetReader) -> list[int]:
    kinds = zip(dataset.indexes, dataset.colorinterp, strict=True)
    return [index for index, kind in kinds if kind == ColorInterp.alpha]


def calibrations(
    path: str | Path, dataset: DatasetReader, bands: Sequence[int]
) -> list[Calibration | None]:
    """What product metadata add to what the bands say of themselves."""
    if dataset.driver == sentinel2.DRIVER:
        return [sentinel2.calibration(dataset, index) for index in bands]
    if len(dataset.indexes) > 1 or dataset.dtypes[0] != "uint16":
        return [None for _ in bands]
    known = landsat.calibration_of_file(str(path)) or sentinel2.calibration_of_image(str(path))
    return [known]


def labels(subdatasets: Sequence[str]) -> list[str]:
    """What subdatasets are called for short, each by a name of its own."""
    parts = [
        [part for part in name.replace("://", ":/").split(":") if part] for name in subdatasets
    ]
    if any(name.startswith(sentinel2.DRIVER) for name in subdatasets):
        short = [name[-2] for name in parts]
        return short if len(set(short)) == len(short) else [":".join(name[-2:]) for name in parts]
    short = [name[-1].strip('/"') for name in parts]
    return short if len(set(short)) == len(short) else [str(i + 1) for i in range(len(parts))]


def reason(error: Exception) -> str:
    """The first line of what GDAL said, of the error or of its cause."""
    text = str(error.__cause__ or error).strip() or type(error).__name__
    return without_secrets(text.splitlines()[0])


def _place(path: str | Path) -> str | Path:
    """What GDAL opens for a name: a product's metadata for its folder."""
    if not is_file_name(path):
        return str(path)
    if not exists(path):
        raise RasterError(f"{shown(path)} does not exist")
    if not Path(path).is_dir():
        # As a Path, rasterio takes it for a file whatever it looks like.
        return Path(path)
    for name in sentinel2.METADATA:
        if (Path(path) / name).exists():
            return Path(path) / name
    raise RasterError(f"{shown(path)} is a folder; pass the raster file in it")


def _open(place: str | Path, name: str) -> DatasetReader:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            return rasterio.open(place)
    except RasterioError as error:
        hint = ""
        if str(place).lower().endswith((".zip", ".tar", ".tgz", ".tar.gz")):
            hint = "; a file in an archive is named like /vsizip/archive.zip/scene.tif"
        raise RasterError(
            f"{name} is not a raster that GDAL can read: {reason(error)}{hint}"
        ) from error
    except (ValueError, UnicodeError) as error:
        raise RasterError(f"{name} cannot be opened under this name: {error}") from error


def _subdataset(name: str, dataset: DatasetReader, wanted: str | None) -> str:
    names = dataset.subdatasets
    short = labels(names)
    if wanted is None:
        finest = [i for i, label in enumerate(short) if label == sentinel2.FINEST]
        if len(names) == 1:
            finest = [0]
        if len(finest) == 1:
            return names[finest[0]]
        raise RasterError(
            f"{name} is a container of {len(names)} rasters; choose one by --subdataset: {_list(short)}"
        )
    matches = [
        i
        for i, (full, label) in enumerate(zip(names, short, strict=True), start=1)
        if wanted in (full, label, str(i)) or label.startswith(f"{wanted}:")
    ]
    if len(matches) != 1:
        raise OptionError(
            f"subdataset {wanted}: {name} has {'no such' if not matches else 'several such'}; "
            f"choose one of {_list(short)}"
        )
    return names[matches[0] - 1]


def _band(name: str, dataset: DatasetReader, wanted: str) -> int:
    if wanted.isdigit() and 1 <= int(wanted) <= dataset.count:
        return int(wanted)
    names = [_band_name(dataset, index) for index in dataset.indexes]
    matches = [i for i, one in enumerate(names, start=1) if _same_band(one, wanted)]
    if len(matches) != 1:
        raise OptionError(
            f"bands: {name} has {'no' if not matches else 'more than one'} band {wanted!r}; it has "
            + _list([f"{i} {one}".strip() for i, one in enumerate(names, start=1)])
        )
    return matches[0]


def _band_name(dataset: DatasetReader, index: int) -> str:
    return dataset.tags(index).get("BANDNAME") or dataset.descriptions[index - 1] or ""


def _same_band(one: str, other: str) -> bool:
    """Whether two names mean a band: B4 is B04."""
    first, second = (name.casefold().replace("b0", "b") for name in (one, other))
    return bool(first) and first == second


def _list(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
