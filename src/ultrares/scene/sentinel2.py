"""What Sentinel-2 products say in their metadata, and GDAL does not apply to their bands."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from pathlib import PurePosixPath

import rasterio
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader

from ultrares.scene.calibration import Calibration

DRIVER = "SENTINEL2"
METADATA = ("MTD_MSIL2A.xml", "MTD_MSIL1C.xml")
FINEST = "10m"

CLASSES = ("SCL", "CLD", "SNW")
"""Maps of classes and probabilities; there is no light in them."""

_IMAGE = re.compile(r"T\d{2}[A-Z]{3}_\d{8}T\d{6}_(B\d[\dA]|AOT|WVP)(_\d{2}m)?\.jp2$")
_FILE = re.compile(r"_(B\d[\dA]|[A-Z]{3})(_\d{2}m)?\.jp2$")
_LEVELS_OF_FOLDERS = 5


def spectral_bands(dataset: DatasetReader) -> list[int]:
    """Numbers, from 1, of the bands of a subdataset that show light."""
    return [index for index in dataset.indexes if "WAVELENGTH" in dataset.tags(index)]


def missing_images(dataset: DatasetReader, bands: Sequence[int]) -> list[str]:
    """Names of bands of a subdataset whose files are not there, for which GDAL would read zeros."""
    if dataset.dtypes[0] != "uint16":
        return []
    found = {match[1] for file in dataset.files if (match := _FILE.search(file))}
    names = [dataset.tags(band).get("BANDNAME", "") for band in bands]
    return [name for name in names if name and _padded(name) not in found]


def calibration(dataset: DatasetReader, index: int) -> Calibration | None:
    """Reflectance from the digital numbers of a subdataset's band, with the offset of baseline 04.00.

    None for true-colour images, which are pictures, and for classes.
    """
    tags, own = dataset.tags(), dataset.tags(index)
    name = own.get("BANDNAME", "")
    if dataset.dtypes[index - 1] != "uint16" or name in CLASSES:
        return None
    quantity = tags.get("BOA_QUANTIFICATION_VALUE") or tags.get("QUANTIFICATION_VALUE")
    if "WAVELENGTH" not in own:
        quantity = tags.get(f"{name}_QUANTIFICATION_VALUE")
    added = own.get("BOA_ADD_OFFSET") or own.get("RADIO_ADD_OFFSET") or "0"
    try:
        divisor, offset = float(quantity or 0), float(added)
        nodata = float(tags.get("SPECIAL_VALUE_NODATA", 0))
    except ValueError:
        return None
    return Calibration(1 / divisor, offset / divisor, nodata) if divisor > 0 else None


def calibration_of_image(path: str) -> Calibration | None:
    """The same for one of a product's JPEG 2000 files, from the metadata some folders above it."""
    place = PurePosixPath(path)
    found = _IMAGE.fullmatch(place.name)
    if found is None:
        return None
    for folder in list(place.parents)[:_LEVELS_OF_FOLDERS]:
        for name in METADATA:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", NotGeoreferencedWarning)
                    product = rasterio.open(str(folder / name))
            except RasterioError:
                continue
            with product:
                return _named(product.subdatasets, found[1], (found[2] or "").strip("_"))
    return None


def _padded(name: str) -> str:
    """The name of a band as files have it: B04 for B4."""
    return f"B{int(name[1:]):02}" if name[1:].isdigit() else name


def _named(subdatasets: list[str], name: str, resolution: str) -> Calibration | None:
    """The calibration of a band that is looked up in a product's subdatasets."""
    for subdataset in subdatasets:
        if f":{resolution}" not in subdataset:
            continue
        with rasterio.open(subdataset) as dataset:
            for index in dataset.indexes:
                if _padded(dataset.tags(index).get("BANDNAME", "")) == name:
                    return calibration(dataset, index)
    return None
