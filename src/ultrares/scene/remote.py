"""Reading over a network: no server may make us wait for ever."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import rasterio

from ultrares.scene.names import is_file_name

_DEFAULTS = {
    "GDAL_HTTP_CONNECTTIMEOUT": "20",
    "GDAL_HTTP_LOW_SPEED_TIME": "60",
    "GDAL_HTTP_LOW_SPEED_LIMIT": "1",
    "GDAL_HTTP_MAX_RETRY": "3",
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
}
"""Seconds to connect; seconds of fewer bytes each; and no looking for other files beside the raster."""


def environment(source: str | Path) -> AbstractContextManager[object]:
    """GDAL's settings for reading a source; the process's environment variables come first.

    Where the source is no file name, so that it may lie on a server, waiting has an end.
    """
    if is_file_name(source):
        return nullcontext()
    return rasterio.Env(**{key: os.environ.get(key, value) for key, value in _DEFAULTS.items()})
