"""A tile as a small file of its own, and many of them as one raster that nothing is copied into."""

from __future__ import annotations

import copy
import os
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

import numpy as np
import rasterio
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import DatasetReader, MemoryFile

from ultrares.types import Shape, Window

BLOCK = 512

Piece = tuple[Window, Path]
"""A window, and the file of its pixels."""


_NOTE = "ULTRARES_NOTE"
_HOLE = b"HOLE "


def encode(array: np.ndarray, valid: np.ndarray | None = None, note: str = "") -> bytes:
    """Pixels (C, h, w), and a mask (h, w) if there is one, as a compressed GeoTIFF without a place.

    Args:
        array: The pixels.
        valid: The mask.
        note: A text that the file keeps; :func:`note_of` reads it.
    """
    bands, height, width = array.shape
    rows, cols = (_block(side) for side in (height, width))
    with warnings.catch_warnings(), MemoryFile() as memory:
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with memory.open(
            driver="GTiff",
            height=height,
            width=width,
            count=bands,
            dtype=array.dtype.name,
            tiled=True,
            blockxsize=cols,
            blockysize=rows,
            compress="zstd",
            zstd_level=1,
            predictor=predictor(array.dtype),
            photometric="minisblack",
            bigtiff="if_safer",
        ) as dataset:
            dataset.write(array)
            if note:
                dataset.update_tags(**{_NOTE: note})
            if valid is not None:
                dataset.write_mask(valid.astype(np.uint8) * np.uint8(255))
        return memory.read()


def hole(note: str = "") -> bytes:
    """The file of a tile where there is nothing: it is not shown, and what shows no tile lacks data."""
    return _HOLE + note.encode()


def is_hole(path: Path) -> bool:
    """Whether a tile's file says that there is nothing."""
    with path.open("rb") as file:
        return file.read(len(_HOLE)) == _HOLE


def canonical(array: np.ndarray) -> np.ndarray:
    """Pixels with one kind of not-a-number and of zero, as what is not stored is read: numbers stay what they are."""
    if array.dtype.kind != "f":
        return array
    return np.where(np.isnan(array), array.dtype.type(np.nan), array + array.dtype.type(0))


def note_of(path: Path) -> str:
    """The text that a tile's file keeps."""
    if is_hole(path):
        return path.read_bytes().removeprefix(_HOLE).decode()
    with _opened(path) as dataset:
        return str(dataset.tags()[_NOTE])


def decode(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (C, h, w) of a tile's file, and its mask (h, w), which is true everywhere if it has none."""
    with _opened(path) as dataset:
        return dataset.read(), dataset.dataset_mask() > 0


@contextmanager
def _opened(path: Path) -> Iterator[DatasetReader]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path) as dataset:
            yield dataset


def _block(side: int) -> int:
    return min(BLOCK, -(-side // 16) * 16)


def predictor(dtype: np.dtype) -> int:
    """TIFF's number of the predictor that compresses a type best."""
    if dtype.kind == "f":
        return 3
    return 1 if dtype.itemsize == 8 else 2


def mosaic(template: Path, pieces: Iterable[Piece], path: Path) -> None:
    """Write a virtual raster that shows pieces; each is read when it is looked at.

    GDAL looks through all sources of a virtual raster for each block, so the pieces of a row are one
    virtual raster, and their rows another: the time for a scene grows with its area.

    Args:
        template: A virtual raster with the size, the bands and all metadata of the whole.
        pieces: In rows of equal height, sorted; between them the whole shows no data.
        path: Where it is written; those of the rows go beside it.
    """
    root = ElementTree.parse(template).getroot()
    rows: list[Piece] = []
    for (top, height), row in groupby(pieces, lambda piece: (piece[0].row, piece[0].height)):
        members = list(row)
        left = members[0][0].col
        width = members[-1][0].col + members[-1][0].width - left
        file = path.with_name(f"{path.stem}.{len(rows)}.vrt")
        moved = [(place._replace(row=0, col=place.col - left), piece) for place, piece in members]
        _write(_bare(root, Shape(height, width)), moved, file)
        rows.append((Window(top, left, height, width), file))
    _write(root, rows, path)


def _bare(whole: Element, shape: Shape) -> Element:
    """A virtual raster with the bands of another and nothing that is said about them but what lacks data."""
    root = Element("VRTDataset", rasterXSize=str(shape.width), rasterYSize=str(shape.height))
    for band in whole.findall("VRTRasterBand"):
        bare = SubElement(root, "VRTRasterBand", band.attrib)
        # What is seen where it shows nothing.
        bare.extend(copy.deepcopy(found) for found in band.findall("NoDataValue"))
    mask = whole.find("MaskBand")
    if mask is not None:
        SubElement(SubElement(root, "MaskBand"), "VRTRasterBand", dataType="Byte")
    return root


def _write(root: Element, pieces: list[Piece], path: Path) -> None:
    """Write a virtual raster that shows pieces in place of the sources it has."""
    root = copy.deepcopy(root)
    for number, band in enumerate(root.findall("VRTRasterBand"), start=1):
        _show(band, str(number), band.attrib["dataType"], pieces, path.parent)
    for band in root.findall("MaskBand/VRTRasterBand"):
        _show(band, "mask,1", "Byte", pieces, path.parent)
    ElementTree.ElementTree(root).write(path)


def _show(band: Element, number: str, kind: str, pieces: list[Piece], folder: Path) -> None:
    for source in band.findall("SimpleSource"):
        band.remove(source)
    for window, file in pieces:
        height, width = str(window.height), str(window.width)
        source = SubElement(band, "SimpleSource")
        name = SubElement(source, "SourceFilename", relativeToVRT="1")
        name.text = os.path.relpath(file, folder)
        SubElement(source, "SourceBand").text = number
        # With these GDAL need not open the file before it reads from it.
        SubElement(
            source,
            "SourceProperties",
            RasterXSize=width,
            RasterYSize=height,
            DataType=kind,
            BlockXSize=str(_block(window.width)),
            BlockYSize=str(_block(window.height)),
        )
        SubElement(source, "SrcRect", xOff="0", yOff="0", xSize=width, ySize=height)
        SubElement(
            source,
            "DstRect",
            xOff=str(window.col),
            yOff=str(window.row),
            xSize=width,
            ySize=height,
        )
