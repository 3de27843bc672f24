"""What this machine and this installation can do; nothing here needs a network."""

from __future__ import annotations

import os
import platform
from importlib import metadata

import ultrares
from ultrares.cli.start import quick_start
from ultrares.errors import UltraresError

ESSENTIAL_DRIVERS = ("GTiff", "COG")
OPTIONAL_DRIVERS = ("JP2OpenJPEG", "VRT")


def diagnose() -> dict[str, object]:
    """Gather versions, hardware, raster drivers and the state of the embedded models.

    Returns:
        Facts by name, ready for JSON; ``problems`` lists, as clauses, what keeps ultrares from
        working, and is empty when all is well.
    """
    problems: list[str] = []
    facts: dict[str, object] = {
        "ultrares": ultrares.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu_cores": _usable_cores(),
    }
    for part in (_torch_facts, _raster_facts, _model_facts):
        try:
            facts |= part(problems)
        except ImportError as error:
            problems.append(f"cannot import {error.name or 'a dependency'} ({error})")
    return facts | {"problems": problems}


def _usable_cores() -> int:
    """Cores that this process may run on, which in a container are fewer than there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _torch_facts(problems: list[str]) -> dict[str, object]:  # noqa: ARG001 - one form for all parts
    """The version of torch, and what it can compute on."""
    import psutil
    import torch

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "torch": torch.__version__,
        "torch_threads": torch.get_num_threads(),
        # the question that torch itself asks before it takes the fast bf16 kernels
        "cpu_bf16": bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()),
        "gpu": gpu,
    }


def _raster_facts(problems: list[str]) -> dict[str, object]:
    """The versions of rasterio and GDAL, and the formats they read and write here."""
    import rasterio

    with rasterio.Env() as environment:
        drivers = set(environment.drivers())
    missing = [name for name in ESSENTIAL_DRIVERS if name not in drivers]
    if missing:
        problems.append(f"GDAL lacks the driver {' and '.join(missing)}")
    zstd = _writes_zstd()
    if not zstd:
        problems.append("GDAL writes no ZSTD-compressed GeoTIFF")
    return {
        "rasterio": rasterio.__version__,
        "gdal": rasterio.__gdal_version__,
        "drivers": {name: name in drivers for name in ESSENTIAL_DRIVERS + OPTIONAL_DRIVERS},
        "zstd": zstd,
        "rio_cogeo": metadata.version("rio-cogeo"),
    }


def _writes_zstd() -> bool:
    """Whether a ZSTD-compressed GeoTIFF can be written, found out by writing one to memory."""
    import numpy as np
    from rasterio.errors import RasterioError
    from rasterio.io import MemoryFile
    from rasterio.transform import from_origin

    # A place on Earth, because rasterio warns about rasters without one.
    place = {"transform": from_origin(0, 16, 1, 1), "width": 16, "height": 16}
    form = {"driver": "GTiff", "count": 1, "dtype": "uint8", "compress": "zstd"}
    try:
        with MemoryFile() as memory, memory.open(**place, **form) as raster:
            raster.write(np.zeros((1, 16, 16), np.uint8))
    except RasterioError:
        return False
    return True


def _model_facts(problems: list[str]) -> dict[str, object]:
    """Whether each embedded model loads, which verifies its checksums."""
    with quick_start():
        from ultrares import api

    known = api.models()
    if all(info.path is None for info in known):
        problems.append("no model with weights is embedded")
    states: dict[str, str] = {}
    for info in known:
        try:
            api.load(info.name)
            states[info.name] = "intact"
        except UltraresError as error:
            states[info.name] = "damaged"
            problems.append(f"model {info.name} does not load ({error})")
    return {"models": states}
