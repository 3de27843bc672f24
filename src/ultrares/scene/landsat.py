"""What Landsat Collection 2 says beside its bands: scale and offset, and which files hold flags."""

from __future__ import annotations

import re
from pathlib import Path

from ultrares.scene.calibration import Calibration

FILL = 0.0
"""Of every band of light or heat in Collection 2."""

SURFACE_REFLECTANCE = Calibration(2.75e-5, -0.2, FILL)
SURFACE_TEMPERATURE = Calibration(0.00341802, 149.0, FILL)
"""The same for all scenes of Collection 2 Level 2, for bands whose MTL file has been left behind."""

_BAND = re.compile(
    r"(?P<scene>L[COTEM]\d{2}_L(?P<level>[12])[A-Z]{2}_\d{6}_\d{8}_\d{8}_02_[A-Z0-9]{2})"
    r"_(?P<kind>SR_|ST_)?B(?P<number>\d+)(_VCID_(?P<gain>[12]))?\.TIF",
    re.IGNORECASE,
)
_FLAGS = re.compile(
    r"L[COTEM]\d{2}_L\d[A-Z]{2}_.*_(QA_PIXEL|QA_RADSAT|SR_QA_AEROSOL|SR_CLOUD_QA)\.TIF",
    re.IGNORECASE,
)


def holds_flags(path: str) -> bool:
    """Whether a file's name says that it holds bit flags."""
    return _FLAGS.fullmatch(Path(path).name) is not None


def calibration_of_file(path: str) -> Calibration | None:
    """Scale and offset of a Landsat Collection 2 band, by its file's name and the MTL file beside it.

    Surface reflectance and temperature of Level 2, and top-of-atmosphere reflectance of Level 1, where the
    product has it; None for all other files.
    """
    found = _BAND.fullmatch(Path(path).name)
    if found is None:
        return None
    text = _text_of(Path(path).with_name(f"{found['scene']}_MTL.txt"))
    group, prefix, band = _where(found)
    values = _group(text, group)
    scale, offset = (values.get(f"{prefix}_{word}_BAND_{band}") for word in ("MULT", "ADD"))
    if scale is not None and offset is not None and scale > 0:
        return Calibration(scale, offset, FILL)
    if found["level"] == "1" or found["kind"] is None:
        return Calibration(1.0, 0.0, FILL)
    return SURFACE_TEMPERATURE if prefix == "TEMPERATURE" else SURFACE_REFLECTANCE


def _where(found: re.Match[str]) -> tuple[str, str, str]:
    """Group, first word and last word of a band's keys in the MTL file."""
    number = found["number"] + (f"_VCID_{found['gain']}" if found["gain"] else "")
    if found["level"] == "1":
        return "LEVEL1_RADIOMETRIC_RESCALING", "REFLECTANCE", number
    if (found["kind"] or "").upper() == "ST_":
        return "LEVEL2_SURFACE_TEMPERATURE_PARAMETERS", "TEMPERATURE", f"ST_B{number}"
    return "LEVEL2_SURFACE_REFLECTANCE_PARAMETERS", "REFLECTANCE", number


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except (OSError, ValueError):
        return ""


def _group(text: str, name: str) -> dict[str, float]:
    """The numbers of one group; groups of other names may hold keys of the same name."""
    found = re.search(rf"^\s*GROUP = {name}$(.*?)^\s*END_GROUP = {name}$", text, re.M | re.S)
    if found is None:
        return {}
    return {
        key: float(value)
        for key, value in re.findall(r"^\s*(\w+) = ([-+.\dEe]+)\s*$", found[1], re.M)
        if _is_number(value)
    }


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
