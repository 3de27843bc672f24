from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.control import GroundControlPoint
from rasterio.enums import ColorInterp
from rasterio.errors import NotGeoreferencedWarning

import ultrares
from tests.scene.conftest import UTM, Writer
from ultrares import Model
from ultrares.errors import InputError, RasterError
from ultrares.scene.source import ArraySource, RasterSource
from ultrares.scene.windows import whole
from ultrares.types import Window

ONES = np.ones((1, 6, 5), np.uint8)


def read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    with RasterSource(path) as source:
        return source.read(whole(source.shape))


def test_a_missing_file_a_folder_and_no_raster_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(RasterError, match=r"nowhere\.tif does not exist"):
        RasterSource(tmp_path / "nowhere.tif")
    with pytest.raises(RasterError, match="is a folder"):
        RasterSource(tmp_path)
    (tmp_path / "notes.txt").write_text("no pixels here")
    with pytest.raises(RasterError, match=r"notes\.txt is not a raster that GDAL can read"):
        RasterSource(tmp_path / "notes.txt")
    (tmp_path / "empty.tif").touch()
    with pytest.raises(RasterError, match=r"empty\.tif is not a raster"):
        RasterSource(tmp_path / "empty.tif")


def test_what_is_cut_off_is_damaged_where_it_is_read(raster: Writer) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (1, 300, 300)).astype(np.uint8)
    path = raster(noise)
    path.write_bytes(path.read_bytes()[:50_000])
    with RasterSource(path) as source, pytest.raises(RasterError, match="is damaged"):
        source.read(whole(source.shape))


@pytest.mark.parametrize(
    ("dtype", "word"), [("complex64", "amplitude"), ("complex_int16", "phase")]
)
def test_complex_numbers_are_refused(tmp_path: Path, dtype: str, word: str) -> None:
    path = tmp_path / "slc.tif"
    with rasterio.open(
        path, "w", driver="GTiff", width=3, height=3, count=1, dtype=dtype, transform=UTM
    ):
        pass
    with pytest.raises(RasterError, match=word):
        RasterSource(path)


def test_a_palette_is_refused_with_the_way_out(raster: Writer) -> None:
    path = raster(
        ONES, photometric="palette", finish=lambda d: d.write_colormap(1, {1: (9, 8, 7, 255)})
    )
    with pytest.raises(RasterError, match="gdal_translate -expand rgb"):
        RasterSource(path)


VRT = """<VRTDataset rasterXSize="3" rasterYSize="2">{}</VRTDataset>"""
BAND = """<VRTRasterBand dataType="{}" band="{}">{}</VRTRasterBand>"""


def vrt(tmp_path: Path, *bands: tuple[str, str]) -> Path:
    path = tmp_path / "scene.vrt"
    text = "".join(BAND.format(kind, i, more) for i, (kind, more) in enumerate(bands, start=1))
    path.write_text(VRT.format(text))
    return path


def test_mixed_types_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RasterError, match="mixes the data types float32, uint8"):
        RasterSource(vrt(tmp_path, ("Byte", ""), ("Float32", "")))


def test_bands_that_disagree_about_nodata_are_refused(tmp_path: Path) -> None:
    bands = ("Byte", "<NoDataValue>7</NoDataValue>"), ("Byte", "")
    with pytest.raises(RasterError, match=r"different nodata values \(7\.0, None\)"):
        RasterSource(vrt(tmp_path, *bands))
    alpha = ("Byte", "<ColorInterp>Alpha</ColorInterp>")
    RasterSource(vrt(tmp_path, bands[0], alpha))


def test_nodata_that_float64_cannot_hold_is_refused(tmp_path: Path) -> None:
    path = vrt(tmp_path, ("UInt64", "<NoDataValue>18446744073709551615</NoDataValue>"))
    with pytest.raises(RasterError, match="32 bits"):
        RasterSource(path)


def test_nodata_between_whole_numbers_is_refused(tmp_path: Path) -> None:
    """GDAL rounds it, and masks by a number that the product would take for a valid one."""
    with pytest.raises(RasterError, match=r"nodata value 1\.5"):
        RasterSource(vrt(tmp_path, ("Int16", "<NoDataValue>1.5</NoDataValue>")))
    RasterSource(vrt(tmp_path, ("Float32", "<NoDataValue>1.5</NoDataValue>")))


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
def test_a_scene_without_a_valid_pixel_is_refused(raster: Writer, dtype: str) -> None:
    path = raster(np.full((2, 5, 5), 3, dtype), nodata=3)
    with RasterSource(path) as source, pytest.raises(RasterError, match="has no valid pixel"):
        source.sample()


def test_a_scene_that_a_sample_thinks_empty_is_not(raster: Writer) -> None:
    array = np.zeros((1, 2100, 4), np.uint8)
    array[0, 1501, 1] = 9
    with RasterSource(raster(array, nodata=0)) as source:
        kept, valid = source.sample()
    assert kept[valid].tolist() == [9], "or the range of the scene would be made up"


@pytest.mark.parametrize(
    ("dtype", "nodata"), [("uint8", 0), ("int16", -9999), ("float32", -3.4e38), ("float64", np.nan)]
)
def test_nodata_is_told_band_by_band(raster: Writer, dtype: str, nodata: float) -> None:
    array = np.full((2, 4, 4), 5, dtype)
    array[0, 1, 2] = nodata
    expected = np.ones(array.shape, bool)
    expected[0, 1, 2] = False
    found, valid = read(raster(array, nodata=nodata))
    np.testing.assert_array_equal(found, array)
    assert np.array_equal(valid, expected)


def test_what_is_not_finite_is_not_valid(raster: Writer) -> None:
    array = np.ones((1, 1, 4), np.float32)
    array[0, 0, :3] = np.nan, np.inf, -np.inf
    assert read(raster(array))[1].tolist() == [[[False, False, False, True]]]


def test_alpha_masks_the_light_but_is_valid_itself(raster: Writer) -> None:
    array = np.full((4, 3, 3), 80, np.uint8)
    array[3] = 255
    array[3, 1, 1] = 0
    path = raster(array, photometric="rgb", alpha="yes")
    with RasterSource(path) as source:
        assert source.profile.alpha == (False, False, False, True)
        assert not source.profile.masked
    valid = read(path)[1]
    assert valid[3].all()
    assert (valid[:3].sum(axis=(1, 2)) == 8).all()


@pytest.mark.parametrize("bands", [1, 2, 4, 7])
def test_alpha_masks_whatever_the_number_of_bands(
    tmp_path: Path, bicubic: Model, bands: int
) -> None:
    """GDAL itself masks by alpha in rasters of two and of four bands only."""
    array = np.full((bands + 1, 6, 5), 80, np.uint16)
    array[-1] = 65535
    array[:, 1:3, 1] = 0

    path = tmp_path / "scene.tif"
    with rasterio.open(
        path, "w", driver="GTiff", count=bands + 1, height=6, width=5, dtype="uint16", transform=UTM,
        photometric="minisblack", alpha="unspecified",
    ) as dataset:  # fmt: skip
        # Before the first pixel, or it would not be in the file.
        undefined = [ColorInterp.undefined] * (bands - 1)
        dataset.colorinterp = [ColorInterp.gray, *undefined, ColorInterp.alpha]
        dataset.write(array)
    target = path.with_name("fine.tif")
    with RasterSource(path) as source:
        assert source.profile.alpha == (*[False] * bands, True)
    valid = read(path)[1]
    assert (~valid[:-1]).sum() == 2 * bands
    assert valid[-1].all()
    ultrares.upscale_scene(path, target, scale=2, model=bicubic)
    assert ultrares.check(target, path).problems == []
    pixels, lasting = read(target)
    assert set(np.unique(pixels[:-1][lasting[:-1]])) == {80}, "nothing bleeds out of what is masked"


def test_a_mask_band_is_seen(raster: Writer) -> None:
    def mask(dataset: Any) -> None:
        dataset.write_mask(np.array([[255, 0], [255, 255]], np.uint8))

    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        path = raster(np.ones((3, 2, 2), np.uint16), finish=mask)
    with RasterSource(path) as source:
        assert source.profile.masked
        assert source.profile.nodata is None
    assert read(path)[1][:, 0, 1].tolist() == [False] * 3


def test_the_profile_is_what_the_file_says(raster: Writer) -> None:
    def describe(dataset: Any) -> None:
        dataset.descriptions = ("red edge", "nir")
        dataset.scales, dataset.offsets = (1e-4, 2e-4), (-0.1, 0.0)
        dataset.units = ("1", "reflectance")
        dataset.colorinterp = [ColorInterp.gray, ColorInterp.undefined]
        dataset.update_tags(MISSION="S2", STATISTICS_MEAN="5")
        dataset.update_tags(1, WAVELENGTH="705", STATISTICS_MEAN="5")
        dataset.update_tags(ns="PRODUCT", LEVEL="2A")

    with RasterSource(raster(np.ones((2, 3, 4), np.uint16), nodata=0, finish=describe)) as source:
        profile = source.profile
        facts = source.describe()
    assert (profile.shape, profile.dtype, profile.transform) == ((3, 4), np.dtype("uint16"), UTM)
    assert profile.nodata == 0
    assert [band.description for band in profile.bands] == ["red edge", "nir"]
    assert [(b.scale, b.offset, b.unit) for b in profile.bands] == [
        (1e-4, -0.1, "1"),
        (2e-4, 0.0, "reflectance"),
    ]
    assert profile.tags[""]["MISSION"] == "S2"
    assert profile.tags["PRODUCT"] == {"LEVEL": "2A"}
    assert profile.bands[0].tags[""] == {"WAVELENGTH": "705"}
    assert "STATISTICS_MEAN" not in profile.tags[""], "they are not those of a finer raster"
    assert "IMAGE_STRUCTURE" not in profile.tags
    assert facts["crs"] == "EPSG:31985"
    assert facts["valid_share"] == 1


def test_a_raster_without_place_has_none(raster: Writer) -> None:
    with pytest.warns(NotGeoreferencedWarning):
        path = raster(ONES, crs=None, transform=None)
    with RasterSource(path) as source:
        assert source.profile.transform is None
        assert source.profile.crs is None


def test_control_points_bring_their_crs(raster: Writer) -> None:
    gcps = [GroundControlPoint(r, c, 30 + c, 10 - r) for r, c in ((0, 0), (0, 5), (6, 0))]
    path = raster(ONES, transform=None, crs="EPSG:4326", gcps=gcps)
    with RasterSource(path) as source:
        assert len(source.profile.gcps) == 3
        assert source.profile.transform is None
        assert source.profile.crs is not None
        assert source.profile.crs.to_epsg() == 4326


@pytest.mark.parametrize("shape", [(3, 3), (1, 3, 3, 3), (0, 3, 3), (1, 0, 3)])
def test_arrays_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="must have shape"):
        ArraySource(np.ones(shape, np.uint8))


@pytest.mark.parametrize("dtype", ["bool", "complex64", "float16", "U3"])
def test_arrays_of_another_kind_are_refused(dtype: str) -> None:
    with pytest.raises(InputError, match="cannot be upscaled"):
        ArraySource(np.ones((1, 2, 2)).astype(dtype))


def test_an_array_of_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="no valid pixel"):
        ArraySource(np.full((1, 2, 2), np.nan))


def test_an_array_is_read_like_a_raster() -> None:
    array = np.arange(24, dtype=np.float32).reshape(1, 4, 6)
    array[0, 0, 0] = np.nan
    pixels, valid = ArraySource(array).read(Window(0, 0, 2, 3))
    np.testing.assert_array_equal(pixels, array[:, :2, :3])
    assert valid.sum() == 5


def test_an_array_s_sample_never_misses_all_valid_pixels() -> None:
    array = np.full((1, 2100, 3), np.nan)
    array[0, 1, 1] = 2.0
    assert ArraySource(array).sample()[1].sum() == 1
