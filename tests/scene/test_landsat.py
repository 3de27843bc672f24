from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio

import ultrares
from tests.scene.conftest import Writer
from ultrares.errors import RasterError
from ultrares.scene.source import RasterSource

SCENE = "LC09_L2SP_199025_20220302_20220304_02_T1"
LEVEL_1 = "LC09_L1TP_199025_20220302_20220304_02_T1"

MTL = """GROUP = LANDSAT_METADATA_FILE
  GROUP = LEVEL2_SURFACE_REFLECTANCE_PARAMETERS
    REFLECTANCE_MULT_BAND_4 = 2.5e-05
    REFLECTANCE_ADD_BAND_4 = -0.25
  END_GROUP = LEVEL2_SURFACE_REFLECTANCE_PARAMETERS
  GROUP = LEVEL2_SURFACE_TEMPERATURE_PARAMETERS
    TEMPERATURE_MULT_BAND_ST_B10 = 0.0035
    TEMPERATURE_ADD_BAND_ST_B10 = 150.0
  END_GROUP = LEVEL2_SURFACE_TEMPERATURE_PARAMETERS
  GROUP = LEVEL1_RADIOMETRIC_RESCALING
    REFLECTANCE_MULT_BAND_4 = 2.0000E-05
    REFLECTANCE_ADD_BAND_4 = -0.100000
  END_GROUP = LEVEL1_RADIOMETRIC_RESCALING
END_GROUP = LANDSAT_METADATA_FILE
END
"""

BAND = np.random.default_rng(0).integers(7000, 30000, (1, 8, 9)).astype(np.uint16)
BAND[0, 2, 3] = 0


def scale_and_offset(path: Path) -> tuple[float, float]:
    with RasterSource(path) as source:
        (band,) = source.profile.bands
        assert band.nodata == 0
    return band.scale, band.offset


@pytest.mark.parametrize(
    ("name", "with_mtl", "without"),
    [
        (f"{SCENE}_SR_B4.TIF", (2.5e-5, -0.25), (2.75e-5, -0.2)),
        (f"{SCENE}_ST_B10.TIF", (0.0035, 150.0), (0.00341802, 149.0)),
        (f"{LEVEL_1}_B4.TIF", (2e-5, -0.1), (1, 0)),
    ],
)
def test_scale_and_offset_are_those_of_the_metadata_file(
    raster: Writer, name: str, with_mtl: tuple[float, float], without: tuple[float, float]
) -> None:
    path = raster(BAND, name)
    assert scale_and_offset(path) == without
    stem = LEVEL_1 if name.startswith(LEVEL_1) else SCENE
    path.with_name(f"{stem}_MTL.txt").write_text(MTL)
    assert scale_and_offset(path) == with_mtl


def test_what_the_file_says_itself_comes_first(raster: Writer) -> None:
    def describe(dataset: rasterio.io.DatasetWriter) -> None:
        dataset.scales, dataset.offsets = (3e-5,), (-0.3,)

    assert scale_and_offset(raster(BAND, f"{SCENE}_SR_B4.TIF", finish=describe)) == (3e-5, -0.3)


def test_a_metadata_file_of_nonsense_is_no_metadata_file(raster: Writer) -> None:
    path = raster(BAND, f"{SCENE}_SR_B4.TIF")
    path.with_name(f"{SCENE}_MTL.txt").write_bytes(
        MTL.replace("2.5e-05", "-.-").encode() + b"\xff\x00"
    )
    assert scale_and_offset(path) == (2.75e-5, -0.2)


def test_the_product_is_reflectance_and_its_fill_is_kept(raster: Writer) -> None:
    path = raster(BAND, f"{SCENE}_SR_B4.TIF")
    target = path.with_name("fine.tif")
    ultrares.upscale_scene(path, target, scale=2, model="bicubic")
    assert ultrares.check(target, path).ok
    with rasterio.open(target) as product:
        assert (product.scales, product.offsets, product.nodata) == ((2.75e-5,), (-0.2,), 0)
        assert (product.read() == 0).sum() == 4


@pytest.mark.parametrize("kind", ["QA_PIXEL", "QA_RADSAT", "SR_QA_AEROSOL"])
def test_bit_flags_are_refused(raster: Writer, kind: str) -> None:
    with pytest.raises(RasterError, match="bit flags"):
        RasterSource(raster(BAND, f"{SCENE}_{kind}.TIF"))


@pytest.mark.parametrize("name", ["scene.tif", "LE07_L2SP_225078_20110306_02_T1_B1.tif"])
def test_other_files_are_left_alone(raster: Writer, name: str) -> None:
    with RasterSource(raster(BAND, name)) as source:
        assert source.profile.bands[0].nodata is None
        assert source.profile.bands[0].scale == 1
