"""Whether an upscaled file keeps its promises: place, radiometry, masks, and form."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rasterio.errors import NotGeoreferencedWarning

from ultrares.errors import OptionError
from ultrares.scene.check_areas import (
    compare_areas,
    grid_of_product,
    limit_of_areas,
    moved_in_words,
    straddles,
)
from ultrares.scene.choice import Choice
from ultrares.scene.evidence import EVIDENCE, block_residual
from ultrares.scene.grid import finer_transform, footprint_distance
from ultrares.scene.opening import Raster, open_raster
from ultrares.scene.profile import SceneProfile
from ultrares.scene.upscale import repeat
from ultrares.scene.windows import tiles, whole
from ultrares.scene.zarr_layout import is_zarr
from ultrares.sensor.models import Box, SensorModel, parse_sensor
from ultrares.types import Shape, Window

CHECKED_SIDE = 1024
"""Side, in fine pixels, of what is compared at once."""

SPREAD = "standard deviation"
"""How the content of a raster that measures draws begins, in its metadata item ULTRARES_CONTENT."""

FOOTPRINT_TOLERANCE = 1e-6
"""In coarse pixels: what is left of a transform after it was divided and stored in double precision."""

FLOAT_TOLERANCE = 1e-6
"""Of the range of the scene's valid pixels."""


@dataclass(frozen=True)
class CheckReport:
    """What :func:`check` found.

    Attributes:
        ok: Whether every promise is kept.
        problems: One sentence for each that is not.
        scale: Fine pixels per coarse pixel, whole or not; 0 if the sizes do not fit.
        footprint_pixels: Largest distance of the corners, in coarse pixels.
        radiometry_max: Largest difference between a block mean and its coarse pixel, in digital numbers,
            over valid pixels; for floats also in units of the data.
        radiometry_limit: What ``radiometry_max`` must not exceed; None where only reported.
        sensor: The sensor model the file says it was held to.
        sensor_rms: Root mean square difference after reduction by that sensor, in digital numbers.
        sensor_max: Largest such difference.
        mask_equal: Whether exactly the pixels without data in the coarse raster are so in the fine one.
        cog_valid: Whether the file is a valid cloud-optimised GeoTIFF; None for a Zarr.
    """

    ok: bool
    problems: list[str]
    scale: float = 0
    footprint_pixels: float | None = None
    radiometry_max: float | None = None
    radiometry_limit: float | None = None
    sensor: str = "box"
    sensor_rms: float | None = None
    sensor_max: float | None = None
    mask_equal: bool | None = None
    cog_valid: bool | None = None

    def to_dict(self) -> dict[str, Any]:
        """The report as plain values."""
        return asdict(self)


@dataclass
class _Findings:
    """What comparing the pixels has found so far."""

    largest: float = 0.0
    mask_equal: bool = True
    smallest_value: float = np.inf
    largest_value: float = -np.inf
    sensor_largest: float = 0.0
    sensor_squares: float = 0.0
    sensor_count: int = 0
    problems: list[str] = field(default_factory=list)


def check(fine_path: str | Path, coarse_path: str | Path) -> CheckReport:
    """Compare an upscaled raster with the raster it was made from, in bounded memory.

    Args:
        fine_path: The product.
        coarse_path: Its source; a product of an area of interest is found in it by its place.

    Raises:
        RasterError: A file is missing, damaged, or of a kind that ultrares does not handle.
    """
    with open_raster(fine_path) as fine, _source_of(fine.profile, coarse_path) as coarse:
        if (other := _no_product(fine.profile, coarse.profile, coarse_path)) is not None:
            return CheckReport(ok=False, problems=[other])
        problems = _differences(fine.profile, coarse.profile)
        cog_valid, errors = _validate(fine_path)
        problems += [f"not a valid cloud-optimised GeoTIFF: {error}" for error in errors]
        if straddles(fine.profile):
            return _check_areas(fine, coarse, problems, cog_valid=cog_valid)
        scale, window, misfit = _fit(fine.profile, coarse.profile)
        if misfit:
            return CheckReport(ok=False, problems=[*problems, misfit], cog_valid=cog_valid)
        sensor = _sensor(fine.profile)
        distance = _distance(fine.profile, coarse.profile, window)
        if distance is not None and distance > FOOTPRINT_TOLERANCE:
            problems.append(f"the footprint differs by {distance:.3g} input pixels")
        if (fine.bands, fine.dtype) != (coarse.bands, coarse.dtype):
            return CheckReport(ok=False, problems=problems, scale=scale, cog_valid=cog_valid)
        problems += _misplaced(fine.profile, coarse.profile.upscaled(scale, window), scale)
        found = _compare(fine, coarse, window, scale, sensor)
    exact = isinstance(sensor, Box)
    limit = _limit(coarse.dtype, found) if exact else None
    if limit is not None and found.largest > limit:
        problems.append(f"a block mean differs from its input pixel by {found.largest:.3g} DN")
    if not found.mask_equal:
        problems.append("pixels without data are not those of the input")
    return CheckReport(
        ok=not problems,
        problems=problems,
        scale=scale,
        footprint_pixels=distance,
        radiometry_max=found.largest,
        radiometry_limit=limit,
        sensor=sensor.name,
        sensor_rms=(found.sensor_squares / max(1, found.sensor_count)) ** 0.5,
        sensor_max=found.sensor_largest,
        mask_equal=found.mask_equal,
        cog_valid=cog_valid,
    )


def _no_product(fine: SceneProfile, coarse: SceneProfile, source: str | Path) -> str | None:
    """Why a file cannot be compared as a product of its source at all; None where it can."""
    content = fine.tags.get("", {}).get("ULTRARES_CONTENT", "")
    if content.startswith((SPREAD, EVIDENCE)):
        return f"it holds the {content}, no scene; check the result it was written with"
    if fine.transform is None or coarse.transform is None or fine.crs != coarse.crs:
        return None
    if abs(fine.transform.determinant) > abs(coarse.transform.determinant):
        return f"its pixels are larger than those of its source {source}: were the two exchanged?"
    return None


def _source_of(fine: SceneProfile, path: str | Path) -> Raster:
    """What a product was made from: the same subdataset and bands."""
    return open_raster(path, choice=Choice.of_tags(fine.tags.get("", {})))


def _check_areas(
    fine: Raster, coarse: Raster, problems: list[str], *, cog_valid: bool | None
) -> CheckReport:
    """The promises of a product whose pixels straddle its scene's."""
    grid = grid_of_product(fine.profile, coarse.profile)
    sensor = _sensor(fine.profile)
    distance, told = grid.moved_within(coarse.shape), moved_in_words(fine.profile)
    if distance > told + FOOTPRINT_TOLERANCE:
        problems.append(
            f"an edge lies {distance:.3g} input pixels from the input's, but the file says {told:.3g}"
        )
    if (fine.bands, fine.dtype) != (coarse.bands, coarse.dtype):
        return CheckReport(ok=False, problems=problems, scale=grid.scale, cog_valid=cog_valid)
    found = compare_areas(fine, coarse, grid)
    limit = limit_of_areas(coarse.dtype, found) if isinstance(sensor, Box) else None
    if limit is not None and found.largest > limit:
        problems.append(
            f"an area-weighted mean differs from its input pixel by {found.largest:.3g} DN (neighbours at "
            "opposite ends of the range cannot both be kept at this scale)"
        )
    if not found.mask_equal:
        problems.append("pixels without data are not those of the input")
    return CheckReport(
        ok=not problems,
        problems=problems,
        scale=grid.scale,
        footprint_pixels=distance,
        radiometry_max=found.largest,
        radiometry_limit=limit,
        sensor=sensor.name,
        mask_equal=found.mask_equal,
        cog_valid=cog_valid,
    )


def _differences(fine: SceneProfile, coarse: SceneProfile) -> list[str]:
    """What the two profiles should share and do not."""
    pairs = {
        "data type": (fine.dtype.name, coarse.dtype.name),
        "number of bands": (len(fine.bands), len(coarse.bands)),
        "coordinate reference system": (fine.crs, coarse.crs),
        "nodata": (_comparable(fine), _comparable(coarse)),
        "number of ground control points": (len(fine.gcps), len(coarse.gcps)),
        "rational polynomials": (fine.rpcs is None, coarse.rpcs is None),
    }
    problems = [
        f"the {name} is {ours}, but {theirs} in the input"
        for name, (ours, theirs) in pairs.items()
        if ours != theirs
    ]
    names = [[band.description for band in profile.bands] for profile in (fine, coarse)]
    if names[0] != names[1] and len(names[0]) == len(names[1]):
        ours, theirs = (", ".join(name or "none" for name in each) for each in names)
        problems.append(f"the band names are {ours}, but {theirs} in the input")
    return problems


def _comparable(profile: SceneProfile) -> str | None:
    """Nodata as text, because NaN differs from itself; None if the type cannot hold it."""
    value = profile.nodata
    if value is None:
        return None
    if profile.dtype.kind in "iu":
        limits = np.iinfo(profile.dtype)
        if not limits.min <= value <= limits.max:
            return None
    return repr(float(value))


def _validate(path: str | Path) -> tuple[bool | None, list[str]]:
    """Whether it is a valid COG, and what is wrong; None for what is none, such as a Zarr."""
    if is_zarr(path):
        return None, []
    # Only checks need it, and it takes as long to import as all else here.
    from rio_cogeo.cogeo import cog_validate

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        valid, errors, _ = cog_validate(str(path), quiet=True)
    return bool(valid), [str(error) for error in errors]


def _fit(fine: SceneProfile, coarse: SceneProfile) -> tuple[int, Window, str | None]:
    """The scale, the part of the coarse raster that the fine one shows, and what does not fit."""
    scale = _tagged_scale(fine) or _placed_scale(fine, coarse)
    scale = scale or max(1, round(fine.shape.width / coarse.shape.width))
    height, width = fine.shape.height / scale, fine.shape.width / scale
    size = f"{fine.shape.width} x {fine.shape.height}"
    if height != int(height) or width != int(width):
        return 0, whole(coarse.shape), f"its size {size} is no multiple of the scale {scale}"
    row = col = 0
    if fine.transform is not None and coarse.transform is not None:
        col, row = (
            round(value) for value in ~coarse.transform @ (fine.transform.c, fine.transform.f)
        )
    window = Window(row, col, int(height), int(width))
    lower, right = row + window.height, col + window.width
    if row < 0 or col < 0 or lower > coarse.shape.height or right > coarse.shape.width:
        return 0, window, f"its size {size} at scale {scale} does not lie within the input"
    return scale, window, None


def _tagged_scale(profile: SceneProfile) -> int | None:
    text = profile.tags.get("", {}).get("ULTRARES_SCALE", "")
    return int(text) if text.isdigit() and int(text) > 0 else None


def _placed_scale(fine: SceneProfile, coarse: SceneProfile) -> int | None:
    """The scale that the sizes of the pixels on the ground say, if it is whole and above one."""
    if fine.transform is None or coarse.transform is None or fine.transform.determinant == 0:
        return None
    ratio = math.sqrt(abs(coarse.transform.determinant / fine.transform.determinant))
    scale = round(ratio)
    return scale if scale > 1 and abs(ratio - scale) < 1e-3 else None


def _sensor(profile: SceneProfile) -> SensorModel:
    try:
        return parse_sensor(profile.tags.get("", {}).get("ULTRARES_SENSOR", "box"))
    except OptionError:
        return Box()


def _distance(fine: SceneProfile, coarse: SceneProfile, window: Window) -> float | None:
    """How far the corners are apart; without a transform there is nothing to compare."""
    if fine.transform is None or coarse.transform is None:
        return None if fine.transform is coarse.transform else np.inf
    part = finer_transform(coarse.transform, 1, window)
    return footprint_distance(
        part, (window.height, window.width), fine.transform, (fine.shape.height, fine.shape.width)
    )


def _misplaced(fine: SceneProfile, expected: SceneProfile, scale: int) -> list[str]:
    """Control points and polynomials that do not lie where the input's do."""
    distances = {
        "ground control points": _control_distance(fine, expected),
        "rational polynomials": _polynomial_distance(fine, expected),
    }
    return [
        f"the {name} are off by {distance / scale:.3g} input pixels"
        for name, distance in distances.items()
        if distance > FOOTPRINT_TOLERANCE * scale
    ]


def _control_distance(fine: SceneProfile, expected: SceneProfile) -> float:
    """Largest distance of control points along an axis, in fine pixels; infinite on other ground."""
    if not fine.gcps or len(fine.gcps) != len(expected.gcps):
        return 0.0
    ours, theirs = (
        np.array([(p.row, p.col, p.x, p.y, p.z or 0) for p in profile.gcps], dtype=np.float64)
        for profile in (fine, expected)
    )
    if not np.allclose(ours[:, 2:], theirs[:, 2:], rtol=1e-12, atol=0):
        return np.inf
    return float(np.abs(ours[:, :2] - theirs[:, :2]).max())


def _polynomial_distance(fine: SceneProfile, expected: SceneProfile) -> float:
    """Largest difference of the fields that count pixels, in fine pixels."""
    if fine.rpcs is None or expected.rpcs is None:
        return 0.0
    ours, theirs = fine.rpcs, expected.rpcs
    return max(
        abs(ours.line_off - theirs.line_off),
        abs(ours.samp_off - theirs.samp_off),
        abs(ours.line_scale - theirs.line_scale),
        abs(ours.samp_scale - theirs.samp_scale),
    )


def _compare(
    fine: Raster, coarse: Raster, window: Window, scale: int, sensor: SensorModel
) -> _Findings:
    found = _Findings()
    lit = ~np.array(coarse.profile.alpha)
    for part in _parts(window, scale):
        truth, valid = coarse.read(part)
        place = Window(part.row - window.row, part.col - window.col, part.height, part.width)
        pixels, lasting = fine.read(place.scaled(scale))
        found.mask_equal &= bool((lasting == repeat(valid, scale)).all())
        truth, valid, pixels = truth[lit], valid[lit], pixels[lit]
        if not valid.any():
            continue
        found.largest = max(found.largest, _largest_residual(pixels, truth, valid, scale))
        found.smallest_value = min(found.smallest_value, float(truth[valid].min()))
        found.largest_value = max(found.largest_value, float(truth[valid].max()))
        if not isinstance(sensor, Box):
            _compare_sensor(found, fine, coarse, (part, place), scale, sensor)
    return found


def _parts(window: Window, scale: int) -> Iterator[Window]:
    return tiles(window, max(1, CHECKED_SIDE // scale))


def _largest_residual(
    pixels: np.ndarray, truth: np.ndarray, valid: np.ndarray, scale: int
) -> float:
    """Largest difference of block mean and truth, from sums of deviations, which are exact."""
    return float(np.abs(block_residual(pixels, truth, scale)[valid]).max())


def _compare_sensor(
    found: _Findings,
    fine: Raster,
    coarse: Raster,
    parts: tuple[Window, Window],
    scale: int,
    sensor: SensorModel,
) -> None:
    """Reduce a part by the sensor, with the neighbours that it gathers light from."""
    part, place = parts
    size = Shape(fine.shape.height // scale, fine.shape.width // scale)
    top, left = min(place.row, sensor.reach), min(place.col, sensor.reach)
    bottom = min(size.height - place.row - place.height, sensor.reach)
    right = min(size.width - place.col - place.width, sensor.reach)
    wide = Window(
        place.row - top, place.col - left, place.height + top + bottom, place.width + left + right
    )
    lit = ~np.array(coarse.profile.alpha)
    pixels, usable = fine.read(wide.scaled(scale))
    truth, _ = coarse.read(part)
    reduced = sensor.degrade(torch.from_numpy(pixels[lit].astype(np.float32))[None], scale)[0]
    share = sensor.degrade(torch.from_numpy(usable[lit].astype(np.float32))[None], scale)[0]
    inner = (slice(None), slice(top, top + place.height), slice(left, left + place.width))
    seen = share.numpy()[inner] > 1 - 1e-4
    difference = (reduced.numpy()[inner] - truth[lit].astype(np.float32))[seen]
    if difference.size:
        found.sensor_largest = max(found.sensor_largest, float(np.abs(difference).max()))
        found.sensor_squares += float((difference.astype(np.float64) ** 2).sum())
        found.sensor_count += difference.size


def _limit(dtype: np.dtype, found: _Findings) -> float:
    """Zero for integers; for floats a millionth of the range, or the type's rounding of its size."""
    if dtype.kind in "iu":
        return 0.0
    span = max(0.0, found.largest_value - found.smallest_value)
    size = max(abs(found.largest_value), abs(found.smallest_value))
    return max(FLOAT_TOLERANCE * span, float(np.finfo(dtype).eps) * size)
