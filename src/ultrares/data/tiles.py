"""A folder of equally large rasters as one array of tiles."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import rasterio
from rasterio.errors import NotGeoreferencedWarning

from ultrares.errors import RasterError


def load_tiles(folder: Path, pattern: str = "*.tif") -> np.ndarray:
    """Read every raster of a folder, sorted by name.

    Returns:
        Shape (N, C, H, W), in the data type of the files.

    Raises:
        RasterError: No file matches, or sizes, bands or data types differ.
    """
    paths = sorted(folder.glob(pattern))
    if not paths:
        raise RasterError(f"no raster matches {pattern!r} in {folder}; pass the folder with --data")
    tiles = []
    for path in paths:
        with warnings.catch_warnings():
            # Training needs pixels, not places.
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(path) as raster:
                tiles.append(raster.read())
        if tiles[-1].shape != tiles[0].shape or tiles[-1].dtype != tiles[0].dtype:
            raise RasterError(f"{path} differs in size, bands or data type from {paths[0]}")
    return np.stack(tiles)
