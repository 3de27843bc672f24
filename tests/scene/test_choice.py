from __future__ import annotations

import gzip
import zipfile
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.enums import ColorInterp
from rasterio.io import MemoryFile

import ultrares
from tests.scene.conftest import UTM, Writer
from ultrares import Model
from ultrares.errors import OptionError, OutputError, RasterError
from ultrares.scene.choice import Choice, labels
from ultrares.scene.publishing import check_target
from ultrares.scene.room import stored_bytes_per_pixel
from ultrares.scene.source import RasterSource
from ultrares.scene.windows import whole
from ultrares.types import Window

IMAGE = np.random.default_rng(0).integers(1, 200, (4, 9, 11)).astype(np.uint8)


def pages(path: Path, *images: np.ndarray) -> Path:
    """A TIFF of several pages."""
    for number, image in enumerate(images):
        with rasterio.open(
            path,
            "w",
            driver="GTiff",
            count=image.shape[0],
            height=image.shape[1],
            width=image.shape[2],
            dtype=image.dtype,
            transform=UTM,
            APPEND_SUBDATASET=number > 0,
        ) as dataset:
            dataset.write(image)
    return path


def read(path: str | Path, choice: Choice) -> np.ndarray:
    with RasterSource(path, choice) as source:
        return source.read(whole(source.shape))[0]


def test_a_page_is_chosen_by_its_number(tmp_path: Path) -> None:
    path = pages(tmp_path / "pages.tif", IMAGE[:1], IMAGE[1:2, :5, :6])
    np.testing.assert_array_equal(read(path, Choice()), IMAGE[:1])
    np.testing.assert_array_equal(read(path, Choice("2")), IMAGE[1:2, :5, :6])
    with pytest.raises(OptionError, match="no such; choose one of"):
        RasterSource(path, Choice("3"))


def test_one_raster_is_no_container(raster: Writer) -> None:
    with pytest.raises(OptionError, match="no container"):
        RasterSource(raster(IMAGE), Choice("2"))


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (['NETCDF:"a.nc":t', 'NETCDF:"a.nc":u'], ["t", "u"]),
        (['HDF5:"a.h5"://g/t', 'HDF5:"a.h5"://g/u'], ["g/t", "g/u"]),
        (["GTIFF_DIR:1:a.tif", "GTIFF_DIR:2:a.tif"], ["1", "2"]),
        (["SENTINEL2_L1C:/a.xml:10m:EPSG_32630", "SENTINEL2_L1C:/a.xml:20m:EPSG_32630"], ["10m", "20m"]),
        (
            ["SENTINEL2_L1C:/a.xml:10m:EPSG_32630", "SENTINEL2_L1C:/a.xml:10m:EPSG_32631"],
            ["10m:EPSG_32630", "10m:EPSG_32631"],
        ),
    ],
)  # fmt: skip
def test_subdatasets_have_short_names(names: list[str], expected: list[str]) -> None:
    assert labels(names) == expected


def test_bands_are_chosen_by_number_and_name_and_alpha_comes_along(
    raster: Writer, bicubic: Model
) -> None:
    def describe(dataset: rasterio.io.DatasetWriter) -> None:
        dataset.descriptions = ("red", "green", "blue", None)

    image = IMAGE.copy()
    image[3] = np.where(image[3] > 80, 255, 0)
    path = raster(image, photometric="rgb", alpha="yes", finish=describe)
    with RasterSource(path, Choice(bands=("3", "red"))) as source:
        pixels, valid = source.read(whole(source.shape))
        assert source.profile.alpha == (False, False, True)
    np.testing.assert_array_equal(pixels, image[[2, 0, 3]])
    np.testing.assert_array_equal(valid[0], image[3] > 0)
    target = path.with_name("fine.tif")
    ultrares.upscale_scene(path, target, scale=2, model=bicubic, bands=[3, "red"])
    assert ultrares.check(target, path).problems == []
    with rasterio.open(target) as product:
        assert product.descriptions == ("blue", "red", None)
        assert product.colorinterp[2] == ColorInterp.alpha


@pytest.mark.parametrize("bands", [("9",), ("0",), ("nir",), ("1", "1"), ()])
def test_bands_that_cannot_be_chosen(raster: Writer, bands: tuple[str, ...]) -> None:
    with pytest.raises(OptionError, match="bands"):
        RasterSource(raster(IMAGE), Choice(bands=bands))


def test_a_choice_survives_in_tags() -> None:
    for choice in (Choice(), Choice("20m"), Choice(None, ("1", "B05")), Choice("t", ("2",))):
        assert Choice.of_tags(choice.tags()) == choice
    assert Choice.of_tags({}) == Choice()


def test_virtual_files_are_opened(raster: Writer, tmp_path: Path) -> None:
    path = raster(IMAGE)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(path, "in/scene.tif")
    (tmp_path / "scene.tif.gz").write_bytes(gzip.compress(path.read_bytes()))
    with MemoryFile(path.read_bytes()) as memory:
        for name in (
            f"/vsizip/{tmp_path}/a.zip/in/scene.tif",
            f"zip://{tmp_path}/a.zip!in/scene.tif",
            f"/vsigzip/{tmp_path}/scene.tif.gz",
            memory.name,
        ):
            np.testing.assert_array_equal(read(name, Choice()), IMAGE)
    with pytest.raises(RasterError, match=r"/vsizip/archive\.zip"):
        RasterSource(tmp_path / "a.zip")


ODD = ("sp ace.tif", "ünï雪.tif", "q'uo\"te.tif", "new\nline.tif", "a?b=1#c.tif", "x:y.tif", "http:x.tif",
       "esc\x1b[31m.tif", "zip!a.tif", "-dash.tif", "a;b&c|d$e`f.tif", "bs\\lash.tif")  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_any_name_is_read_and_written(raster: Writer, bicubic: Model, name: str) -> None:
    path = raster(IMAGE, alpha="no")
    path = path.rename(path.with_name(name))
    target = path.with_name(f"fine {name}")
    ultrares.upscale_scene(str(path), str(target), scale=2, model=bicubic)
    assert ultrares.check(target, path).ok
    with rasterio.open(target) as product:
        assert product.tags()["ULTRARES_SOURCE"].isprintable()


@pytest.mark.parametrize("name", ["a\0b.tif", "caf\udce9.tif", "x" * 221, "x" * 5000])
def test_names_that_cannot_be_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(RasterError):
        RasterSource(tmp_path / name)
    with pytest.raises(OutputError, match="at most 220 bytes"):
        check_target("https://host/scene.tif?" + "x" * 5000, tmp_path / name, overwrite=False)


TAGS = {
    "control": "x\x01y\x1b[31m",
    "long": "z" * 2_000_000,
    "markup": "]]><b>&amp;<!--",
    "other": "雪\n\t=",
    "ULTRARES_SCALE": "-7",
    "ULTRARES_SENSOR": "mtf:x",
    "ULTRARES_BANDS": "9,9",
    "ULTRARES_SUBDATASET": "../../etc",
    "ULTRARES_CONTENT": "standard deviation",
    "ULTRARES_GRID": "areas",
}


def test_metadata_cannot_spoil_a_product(raster: Writer, bicubic: Model) -> None:
    def describe(dataset: rasterio.io.DatasetWriter) -> None:
        dataset.update_tags(**TAGS)
        dataset.set_band_description(1, "b\x1b\x02\nad")
        dataset.set_band_description(2, "q" * 100_000)
        dataset.units = ("\x07", "m", "", "K")

    path = raster(IMAGE, finish=describe, alpha="no")
    target = path.with_name("fine.tif")
    ultrares.upscale_scene(path, target, scale=2, model=bicubic)
    assert ultrares.check(target, path).problems == []
    with rasterio.open(target) as product:
        tags = product.tags()
        assert (tags["long"], tags["markup"], tags["ULTRARES_SCALE"]) == (
            TAGS["long"],
            TAGS["markup"],
            "2",
        )


def test_a_sparse_scene_of_ninety_thousand_million_pixels_takes_an_area_at_a_time(
    tmp_path: Path, bicubic: Model
) -> None:
    path, target = tmp_path / "sparse.tif", tmp_path / "fine.tif"
    light = np.random.default_rng(0).integers(1000, 4000, (1, 60, 70)).astype(np.uint16)
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        count=1,
        height=300_000,
        width=300_000,
        dtype="uint16",
        tiled=True,
        blockxsize=1024,
        blockysize=1024,
        sparse_ok=True,
        bigtiff="yes",
        nodata=0,
        crs="EPSG:32630",
        transform=rasterio.Affine(10, 0, 0, 0, -10, 0),
    ) as dataset:
        dataset.write(light, window=rasterio.windows.Window(100_200, 200_100, 70, 60))
    with RasterSource(path) as source:
        sampled, valid = source.sample()
        assert sampled[valid].min() >= 1000
        assert source.read(Window(0, 0, 5, 5))[1].sum() == 0
        # One block of 85,849 holds something, and a pixel has two bytes.
        part = whole(source.shape)
        assert source.written_share(part) == pytest.approx(1024**2 / 300_000**2)
        assert 0 < stored_bytes_per_pixel(source, part, 2) < 2 * source.written_share(part)
        assert source.written_share(Window(0, 0, 1024, 2048)) == 0
    left, top = 10 * 100_190, -10 * 200_090
    ultrares.upscale_scene(
        path, target, scale=2, model=bicubic, aoi=(left, top - 300, left + 400, top)
    )
    assert ultrares.check(target, path).problems == []


def test_headers_are_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "wide.vrt"
    bands = "".join(f'<VRTRasterBand dataType="Byte" band="{i + 1}"/>' for i in range(2049))
    path.write_text(f'<VRTDataset rasterXSize="3" rasterYSize="2">{bands}</VRTDataset>')
    with pytest.raises(RasterError, match="2049 bands, more than fit"):
        RasterSource(path)
    with RasterSource(path, Choice(bands=("2049",))) as source:
        assert source.bands == 1
    huge = tmp_path / "huge.tif"
    with rasterio.open(
        huge,
        "w",
        driver="GTiff",
        count=1,
        height=40_000,
        width=40_000,
        dtype="uint8",
        sparse_ok=True,
        tiled=True,
        blockxsize=32_768,
        blockysize=39_936,
        transform=UTM,
    ):
        pass
    with pytest.raises(RasterError, match=r"takes 1\.31 GB to decode"):
        RasterSource(huge)
    masked = '<MaskBand><VRTRasterBand dataType="Byte"/></MaskBand>'
    path.write_text(
        '<VRTDataset rasterXSize="3" rasterYSize="2">'
        f'<VRTRasterBand dataType="Byte" band="1">{masked}</VRTRasterBand></VRTDataset>'
    )
    with pytest.raises(RasterError, match="a mask for each band"):
        RasterSource(path)
