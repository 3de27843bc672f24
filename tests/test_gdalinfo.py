"""Another GDAL than rasterio's own, the `gdalinfo` of the system, finds the same in a product."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.crs import CRS
from rasterio.rpc import RPC

import ultrares
from tests.scene.conftest import UTM
from tests.scene.test_geometry import camera, gcps
from ultrares import Model
from ultrares.scene.grid import footprint_distance, rounding
from ultrares.types import Shape

pytestmark = pytest.mark.skipif(
    shutil.which("gdalinfo") is None, reason="gdalinfo (Debian's gdal-bin) is not installed"
)

BILLIONTH, DIGITS = 1e-9, 1e-15
SHAPE = Shape(12, 17)
IMAGE = np.random.default_rng(0).integers(0, 3000, (2, *SHAPE)).astype(np.int16)

PLACES: dict[str, dict[str, Any]] = {
    "north-up": {"crs": "EPSG:32630", "transform": UTM},
    "south-up": {"crs": "EPSG:32630", "transform": Affine(10, 0, 3e5, 0, 10, 9e6)},
    "rotated": {"crs": "EPSG:32630", "transform": UTM @ Affine.rotation(31)},
    "geographic": {"crs": "EPSG:4326", "transform": Affine(0.01, 0, 10, 0, -0.01, 50)},
    "antimeridian": {"crs": "EPSG:4326", "transform": Affine(0.05, 0, 179.8, 0, -0.05, -17)},
    "no crs": {"crs": None, "transform": UTM},
    "gcps": {"crs": "EPSG:32630", "transform": None, "gcps": gcps()},
    "rpcs": {"crs": None, "transform": None, "rpcs": camera()},
}

CASES = [*((name, 3) for name in PLACES), ("rotated", 32)]
"""At the last of these scales there is an overview."""


def gdalinfo(path: Path) -> dict[str, Any]:
    words = ["gdalinfo", "-json", str(path)]
    said = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60)
    assert said.stderr == ""
    return dict(json.loads(said.stdout))


def describe(dataset: rasterio.io.DatasetWriter) -> None:
    """Say what bands and scenes can say about themselves."""
    dataset.update_tags(MISSION="S2")
    dataset.update_tags(1, WAVELENGTH="842")
    dataset.set_band_description(1, "nir")
    dataset.scales, dataset.offsets = (1e-4, 0.3), (-0.1, 7.0)
    dataset.units = ("reflectance", "K")


def same_crs(wkt: str | None, crs: CRS | None) -> bool:
    return crs is None if wkt is None else CRS.from_wkt(wkt) == crs


@pytest.fixture(scope="module", params=CASES, ids=lambda case: f"{case[0]} x{case[1]}")
def made(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, bicubic: Model
) -> Iterator[Any]:
    """A scene and its product as rasterio opens them, what gdalinfo says of the product, and its scale."""
    place, scale = request.param
    folder = tmp_path_factory.mktemp("gdalinfo")
    path, target = folder / "scene.tif", folder / "fine.tif"
    options = {"count": 2, "height": SHAPE.height, "width": SHAPE.width, "dtype": IMAGE.dtype}
    options |= {"driver": "GTiff", "nodata": -9999} | PLACES[place]
    with rasterio.open(path, "w", **options) as dataset:
        dataset.write(IMAGE)
        describe(dataset)
    ultrares.upscale_scene(path, target, scale=scale, model=bicubic)
    with rasterio.open(path) as coarse, rasterio.open(target) as fine:
        yield coarse, fine, gdalinfo(target), scale


def test_gdalinfo_and_rasterio_see_the_place_of_the_scene(made: Any) -> None:
    coarse, fine, said, scale = made
    assert Shape(*said["size"][::-1]) == fine.shape == (SHAPE.height * scale, SHAPE.width * scale)
    assert same_crs(said.get("coordinateSystem", {}).get("wkt"), fine.crs)
    assert fine.crs == coarse.crs
    # Neither has a transform where the scene has none: it must not seem to lie somewhere.
    assert ("geoTransform" in said) == (not coarse.transform.is_identity)
    placed = Affine.from_gdal(*said.get("geoTransform", (0, 1, 0, 0, 0, 1)))
    # It prints 16 digits, and no more than 16 of them behind the point.
    assert tuple(placed) == pytest.approx(tuple(fine.transform), rel=DIGITS, abs=1e-16)
    corners = {
        "upperLeft": (0, 0),
        "upperRight": (fine.width, 0),
        "lowerLeft": (0, fine.height),
        "lowerRight": (fine.width, fine.height),
    }
    # It prints three decimals, seven of degrees.
    decimals = 7 if fine.crs is not None and fine.crs.is_geographic else 3
    for name, corner in corners.items():
        seen = said["cornerCoordinates"][name]
        assert seen == pytest.approx(placed @ corner, abs=0.51 * 10**-decimals)
    if "geoTransform" in said:
        distance = footprint_distance(coarse.transform, SHAPE, placed, Shape(*fine.shape))
        assert distance < BILLIONTH + scale * rounding(coarse.transform, SHAPE)


def test_gdalinfo_and_rasterio_see_the_control_points_of_the_scene(made: Any) -> None:
    coarse, fine, said, scale = made
    (before, _), (after, crs) = coarse.gcps, fine.gcps
    listed = said.get("gcps", {}).get("gcpList", [])
    assert len(listed) == len(after) == len(before)
    assert same_crs(said.get("gcps", {}).get("coordinateSystem", {}).get("wkt"), crs)
    for point, seen, origin in zip(listed, after, before, strict=True):
        ours = (seen.col, seen.row, seen.x, seen.y, seen.z)
        assert [point[key] for key in ("pixel", "line", "x", "y", "z")] == pytest.approx(
            ours, rel=DIGITS
        )
        assert (seen.x, seen.y) == (origin.x, origin.y)
        assert point["pixel"] / scale == pytest.approx(origin.col, abs=BILLIONTH)
        assert point["line"] / scale == pytest.approx(origin.row, abs=BILLIONTH)


def test_gdalinfo_and_rasterio_see_the_polynomials_of_the_scene(made: Any) -> None:
    coarse, fine, said, scale = made
    items = said["metadata"].get("RPC")
    assert (items is None) == (fine.rpcs is None) == (coarse.rpcs is None)
    if items is None:
        return
    found, seen, origin = RPC.from_gdal(items).to_dict(), fine.rpcs.to_dict(), coarse.rpcs.to_dict()
    for name, value in seen.items():
        assert found[name] == pytest.approx(value, rel=DIGITS)
    # Lines and samples count pixel centres.
    for name in ("line", "samp"):
        offset = (found[f"{name}_off"] + 0.5) / scale - 0.5
        assert offset == pytest.approx(origin[f"{name}_off"], abs=BILLIONTH)
        assert found[f"{name}_scale"] / scale == pytest.approx(
            origin[f"{name}_scale"], abs=BILLIONTH
        )
    unmoved = [name for name in origin if not name.startswith(("line_", "samp_"))]
    assert {name: found[name] for name in unmoved} == {name: origin[name] for name in unmoved}


def test_gdalinfo_and_rasterio_see_the_same_bands(made: Any) -> None:
    coarse, fine, said, scale = made
    assert said["driverShortName"] == "GTiff"
    assert said["metadata"]["IMAGE_STRUCTURE"]["LAYOUT"] == "COG"
    assert said["files"] == [fine.name]
    assert said["metadata"][""] == fine.tags()
    assert said["metadata"][""]["MISSION"] == "S2"
    assert len(said["bands"]) == fine.count == coarse.count
    for index, band in enumerate(said["bands"], start=1):
        at = index - 1
        sizes = [(fine.height // k, fine.width // k) for k in fine.overviews(index)]
        assert [tuple(each["size"][::-1]) for each in band.get("overviews", [])] == sizes
        assert bool(sizes) == (scale == 32)
        assert band["block"] == list(fine.block_shapes[at][::-1])
        assert band["type"] == "Int16"
        assert band["noDataValue"] == fine.nodata == coarse.nodata
        assert band["metadata"][""] == fine.tags(index)
        assert fine.tags(index).items() >= coarse.tags(index).items()
        assert band.get("description") == fine.descriptions[at] == coarse.descriptions[at]
        assert band["colorInterpretation"].lower() == fine.colorinterp[at].name
        assert (band["scale"], band["offset"]) == (fine.scales[at], fine.offsets[at])
        assert (band["scale"], band["offset"]) == (coarse.scales[at], coarse.offsets[at])
        assert band["unit"] == fine.units[at] == coarse.units[at]
