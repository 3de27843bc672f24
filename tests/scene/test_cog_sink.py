from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio._err import CPLE_BaseError
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.enums import ColorInterp
from rasterio.errors import NotGeoreferencedWarning
from rio_cogeo.cogeo import cog_validate

from tests.scene.conftest import UTM
from tests.scene.test_grid import polynomial
from ultrares.errors import OutputError
from ultrares.scene.cog_sink import CogSink
from ultrares.scene.profile import BandProfile, SceneProfile
from ultrares.scene.source import RasterSource
from ultrares.scene.windows import tiles, whole
from ultrares.types import Shape, Window

RNG = np.random.default_rng(0)
NIR = BandProfile(
    "nir",
    scale=1e-4,
    offset=-0.1,
    unit="reflectance",
    tags={"": {"WAVELENGTH": "842"}},
)
BASE = SceneProfile(
    Shape(40, 52), np.dtype("uint16"), (NIR, BandProfile()), CRS.from_epsg(31985), UTM,
    tags={"": {"MISSION": "S2", "AREA_OR_POINT": "Area"}},
)  # fmt: skip


def pixels(profile: SceneProfile) -> np.ndarray:
    return RNG.integers(1, 120, (len(profile.bands), *profile.shape)).astype(profile.dtype)


def store(
    target: Path,
    profile: SceneProfile,
    array: np.ndarray,
    valid: np.ndarray | None = None,
    *,
    side: int = 1024,
    overwrite: bool = False,
) -> None:
    valid = np.ones(array.shape, bool) if valid is None else valid
    with CogSink(target, profile, {"ULTRARES_SCALE": "4"}, overwrite=overwrite) as sink:
        for window in tiles(whole(profile.shape), side):
            rows = slice(window.row, window.row + window.height)
            cols = slice(window.col, window.col + window.width)
            sink.write(window, array[:, rows, cols], valid[:, rows, cols])
        sink.commit()


@pytest.fixture(autouse=True)
def nothing_is_left(tmp_path: Path) -> Iterator[None]:
    """Whatever a test does, no staging file remains."""
    yield
    assert [path.name for path in tmp_path.iterdir() if ".part" in path.name] == []


@pytest.mark.parametrize(
    "dtype",
    [
        "uint8",
        "int8",
        "uint16",
        "int16",
        "uint32",
        "int32",
        "uint64",
        "int64",
        "float32",
        "float64",
    ],
)
def test_pixels_and_all_that_is_said_about_them_survive(tmp_path: Path, dtype: str) -> None:
    profile = replace(BASE, dtype=np.dtype(dtype))
    array = pixels(profile)
    store(tmp_path / "out.tif", profile, array, side=30)
    with RasterSource(tmp_path / "out.tif") as result:
        found = result.profile
        assert np.array_equal(result.read(whole(result.shape))[0], array)
    assert found.tags[""].pop("ULTRARES_SCALE") == "4"
    assert (found.shape, found.dtype, found.crs) == (profile.shape, profile.dtype, profile.crs)
    assert found.transform == profile.transform
    assert found.tags[""] | profile.tags[""] == found.tags[""]
    band = found.bands[0]
    assert (band.description, band.scale, band.offset, band.unit) == (
        "nir",
        1e-4,
        -0.1,
        "reflectance",
    )
    assert band.tags == NIR.tags
    assert found.bands[1].description is None
    assert not found.masked


def test_namespaces_survive_where_bands_have_no_items_of_their_own(tmp_path: Path) -> None:
    band = BandProfile(tags={"PRODUCT": {"GAIN": "2"}})
    spaces = {"": {"MISSION": "S2"}, "PRODUCT": {"LEVEL": "2A"}}
    profile = replace(BASE, bands=(band,), tags=spaces)
    store(tmp_path / "out.tif", profile, pixels(profile))
    with rasterio.open(tmp_path / "out.tif") as result:
        assert result.tags(ns="PRODUCT") == {"LEVEL": "2A"}
        assert result.tags(1, ns="PRODUCT") == {"GAIN": "2"}
        assert result.tags()["MISSION"] == "S2"


@pytest.mark.parametrize(
    "colours",
    [
        (ColorInterp.gray,),
        (ColorInterp.red, ColorInterp.green, ColorInterp.blue),
        (ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha),
        (ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.undefined),
        (ColorInterp.gray, ColorInterp.alpha),
        (ColorInterp.blue, ColorInterp.green, ColorInterp.red),
    ],
    ids=lambda colours: "-".join(colour.name for colour in colours),
)
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_colours_survive(tmp_path: Path, colours: tuple[ColorInterp, ...], dtype: str) -> None:
    bands = tuple(BandProfile(colorinterp=colour) for colour in colours)
    profile = replace(BASE, bands=bands, dtype=np.dtype(dtype))
    store(tmp_path / "out.tif", profile, pixels(profile))
    with rasterio.open(tmp_path / "out.tif") as result:
        assert result.colorinterp == colours


@pytest.mark.parametrize(
    ("dtype", "nodata", "kept"),
    [
        ("uint8", 0, 0),
        ("int16", -9999, -9999),
        ("float32", np.nan, np.nan),
        ("float64", -1e300, -1e300),
        ("uint8", -9999, None),
        ("uint8", np.nan, None),
    ],
)
def test_nodata_survives_where_the_type_can_hold_it(
    tmp_path: Path, dtype: str, nodata: float, kept: float | None
) -> None:
    profile = replace(BASE, dtype=np.dtype(dtype), bands=(BandProfile(nodata=nodata),))
    store(tmp_path / "out.tif", profile, pixels(profile))
    with RasterSource(tmp_path / "out.tif") as result:
        assert repr(result.profile.nodata) == repr(None if kept is None else float(kept))


@pytest.mark.parametrize(
    "grid",
    [UTM @ Affine.rotation(33), Affine(0.1, 0, 4, 0, 0.1, 5), Affine(2, 0.5, 3, 0.25, -2, 9)],
    ids=["rotated", "south-up", "sheared"],
)
def test_every_transform_survives(tmp_path: Path, grid: Affine) -> None:
    profile = replace(BASE, transform=grid)
    store(tmp_path / "out.tif", profile, pixels(profile))
    with RasterSource(tmp_path / "out.tif") as result:
        assert result.profile.transform is not None
        np.testing.assert_allclose(tuple(result.profile.transform), tuple(grid), rtol=1e-14)


def test_pixels_that_count_as_points_keep_their_corners(tmp_path: Path) -> None:
    profile = replace(BASE, tags={"": {"AREA_OR_POINT": "Point"}})
    store(tmp_path / "out.tif", profile, pixels(profile))
    with RasterSource(tmp_path / "out.tif") as result:
        assert result.profile.tags[""]["AREA_OR_POINT"] == "Point"
        assert result.profile.transform is not None
        np.testing.assert_allclose(tuple(result.profile.transform), tuple(UTM), rtol=1e-14)


def test_no_place_stays_no_place(tmp_path: Path) -> None:
    profile = replace(BASE, crs=None, transform=None)
    store(tmp_path / "out.tif", profile, pixels(profile))
    with RasterSource(tmp_path / "out.tif") as result:
        assert (result.profile.crs, result.profile.transform) == (None, None)


def test_control_points_survive(tmp_path: Path) -> None:
    gcps = tuple(
        GroundControlPoint(row, col, -35 + col / 7, -8 - row / 9, 3.5)
        for row, col in ((0, 0), (0, 52), (40, 0), (40, 52))
    )
    profile = replace(BASE, crs=CRS.from_epsg(4326), transform=None, gcps=gcps)
    store(tmp_path / "out.tif", profile, pixels(profile))
    with RasterSource(tmp_path / "out.tif") as result:
        found = result.profile
    assert found.crs == profile.crs
    assert found.transform is None
    assert [(p.row, p.col, p.x, p.y, p.z) for p in found.gcps] == [
        (p.row, p.col, p.x, p.y, p.z) for p in gcps
    ]


def test_rational_polynomials_survive(tmp_path: Path) -> None:
    profile = replace(BASE, crs=None, transform=None, rpcs=polynomial())
    store(tmp_path / "out.tif", profile, pixels(profile))
    with RasterSource(tmp_path / "out.tif") as result:
        assert result.profile.rpcs == polynomial()
        assert [path.name for path in tmp_path.iterdir()] == ["out.tif"]


def test_a_mask_is_inside_the_file(tmp_path: Path) -> None:
    profile = replace(BASE, masked=True)
    array, valid = pixels(profile), np.ones((2, 40, 52), bool)
    valid[:, 5:19, 7:33] = False
    store(tmp_path / "out.tif", profile, array, valid, side=17)
    with RasterSource(tmp_path / "out.tif") as result:
        assert result.profile.masked
        assert np.array_equal(result.read(whole(result.shape))[1], valid)
    assert [path.name for path in tmp_path.iterdir()] == ["out.tif"]


def test_the_file_is_a_cog_with_overviews(tmp_path: Path) -> None:
    profile = replace(BASE, shape=Shape(1100, 1300), bands=(NIR,))
    store(tmp_path / "out.tif", profile, pixels(profile))
    assert cog_validate(str(tmp_path / "out.tif"), strict=True) == (True, [], [])
    with rasterio.open(tmp_path / "out.tif") as result:
        assert result.overviews(1)[:2] == [2, 4]
        assert result.block_shapes == [(512, 512)]
        assert result.compression.name == "zstd"


@pytest.mark.parametrize(
    "shape", [(640, 512), (513, 511), (1100, 1024), (1100, 1025), (2100, 1025), (600, 8), (8, 600)]
)
def test_no_size_passes_for_one_without_tiles(tmp_path: Path, shape: tuple[int, int]) -> None:
    """A level exactly as wide as its blocks looks like strips to validators."""
    profile = replace(BASE, shape=Shape(*shape), bands=(NIR,), dtype=np.dtype("uint8"))
    store(tmp_path / "out.tif", profile, np.ones((1, *shape), np.uint8))
    assert cog_validate(str(tmp_path / "out.tif"), quiet=True) == (True, [], [])


OTHER_NAN = np.array(0xFFC00001, np.uint32).view(np.float32)

HOLES = [
    # nodata, what invalid pixels hold, whether the profile has a mask, type
    (0.0, 0, False, "uint16"),
    (65535.0, 65535, False, "uint16"),
    (-9999.0, -9999, False, "int16"),
    (float("nan"), float("nan"), False, "float32"),
    # What 0 / 0 gives on some machines, and a zero of another sign, are read as the plain ones.
    (float("nan"), OTHER_NAN, False, "float32"),
    (0.0, -0.0, False, "float32"),
    (None, 0, True, "uint8"),
    # Not what nothing is read as, so it has to be stored.
    (None, 7, True, "uint8"),
]


@pytest.mark.parametrize(("nodata", "value", "masked", "dtype"), HOLES)
def test_what_lacks_data_takes_no_room_and_is_read_as_it_was(
    tmp_path: Path, nodata: float | None, value: float, *, masked: bool, dtype: str
) -> None:
    """Data in two opposite corners of five by six tiles: between them, and in a whole row, there is nothing."""
    profile = replace(
        BASE, shape=Shape(2560, 3000), bands=(BandProfile(nodata=nodata),) * 2, tags={},
        masked=masked, dtype=np.dtype(dtype),
    )  # fmt: skip
    array = np.full((2, *profile.shape), value, profile.dtype)
    valid = np.zeros(array.shape, bool)
    for rows, cols in ((slice(0, 500), slice(0, 700)), (slice(1536, 2560), slice(2048, 3000))):
        array[:, rows, cols] = RNG.integers(8, 100, array[:, rows, cols].shape)
        valid[:, rows, cols] = True
    store(tmp_path / "out.tif", profile, array, valid, side=512)
    assert cog_validate(str(tmp_path / "out.tif"), quiet=True) == (True, [], [])
    with RasterSource(tmp_path / "out.tif") as result:
        found, lasting = result.read(whole(result.shape))
    np.testing.assert_array_equal(found, array)
    assert np.array_equal(lasting, valid)
    with rasterio.open(tmp_path / "out.tif") as result:
        assert result.tags(1)["STATISTICS_VALID_PERCENT"].startswith("17.2")
        assert float(result.tags(1)["STATISTICS_MINIMUM"]) == array[0][valid[0]].min()
        # Blocks that are not there have no place in the file.
        there = [
            result.get_tag_item(f"BLOCK_OFFSET_{col}_{row}", "TIFF", bidx=1)
            for row in range(5)
            for col in range(6)
        ]
    assert (None in there) == (value != 7)


def test_where_alpha_is_nothing_there_is_nothing(tmp_path: Path) -> None:
    bands = (BandProfile(), BandProfile(colorinterp=ColorInterp.alpha))
    profile = replace(BASE, shape=Shape(1024, 1536), bands=bands, tags={}, dtype=np.dtype("uint8"))
    array = np.zeros((2, *profile.shape), np.uint8)
    array[:, :512, :512] = RNG.integers(8, 100, (2, 512, 512))
    valid = np.stack([array[1] > 0, np.ones(profile.shape, bool)])
    with CogSink(tmp_path / "out.tif", profile) as sink:
        for window in tiles(whole(profile.shape), 512):
            rows = slice(window.row, window.row + 512)
            cols = slice(window.col, window.col + 512)
            sink.write(window, array[:, rows, cols], valid[:, rows, cols])
        stored = [path.read_bytes()[:4] for path in tmp_path.rglob("tiles/*/*.tif")]
        sink.commit()
    assert sorted(stored)[:5] == 5 * [b"HOLE"]
    with RasterSource(tmp_path / "out.tif") as result:
        assert np.array_equal(result.read(whole(result.shape))[0], array)


def test_an_exception_leaves_nothing(tmp_path: Path) -> None:
    def fail_half_way() -> None:
        with CogSink(tmp_path / "out.tif", BASE) as sink:
            sink.write(whole(BASE.shape), pixels(BASE), np.ones((2, 40, 52), bool))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_half_way()
    assert list(tmp_path.iterdir()) == []


def test_without_a_commit_nothing_appears(tmp_path: Path) -> None:
    with CogSink(tmp_path / "out.tif", BASE) as sink:
        sink.write(whole(BASE.shape), pixels(BASE), np.ones((2, 40, 52), bool))
    assert list(tmp_path.iterdir()) == []


def test_an_exception_leaves_an_existing_target_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "out.tif").write_text("precious")
    with pytest.raises(KeyboardInterrupt), CogSink(tmp_path / "out.tif", BASE, overwrite=True):
        raise KeyboardInterrupt
    assert (tmp_path / "out.tif").read_text() == "precious"


def test_overwriting_replaces_all_of_it(tmp_path: Path) -> None:
    (tmp_path / "out.tif").write_text("old")
    array = pixels(BASE)
    store(tmp_path / "out.tif", BASE, array, overwrite=True)
    with rasterio.open(tmp_path / "out.tif") as result:
        assert np.array_equal(result.read(), array)


def test_a_target_that_appears_meanwhile_is_left_alone(tmp_path: Path) -> None:
    target = tmp_path / "out.tif"
    with CogSink(target, BASE) as sink:
        sink.write(whole(BASE.shape), pixels(BASE), np.ones((2, 40, 52), bool))
        target.write_text("precious")
        with pytest.raises(OutputError, match="appeared"):
            sink.commit()
    assert target.read_text() == "precious"


def test_without_hard_links_the_result_is_renamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "link", refuse)
    store(tmp_path / "out.tif", BASE, pixels(BASE))
    assert [path.name for path in tmp_path.iterdir()] == ["out.tif"]
    assert cog_validate(str(tmp_path / "out.tif"), quiet=True)[0]


def test_without_hard_links_a_failed_rename_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(OutputError, match="Input/output error"):
        store(tmp_path / "out.tif", BASE, pixels(BASE))
    assert list(tmp_path.iterdir()) == []


def test_a_result_with_a_hole_is_not_published(tmp_path: Path) -> None:
    with CogSink(tmp_path / "out.tif", BASE) as sink:
        sink.write(Window(0, 0, 40, 51), pixels(BASE)[..., :51], np.ones((2, 40, 51), bool))
        with pytest.raises(OutputError, match="not every pixel"):
            sink.commit()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", ["cut", "flipped", "gone", "other"])
def test_damage_before_publication_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    make = CogSink._make_cog

    def spoil(sink: CogSink) -> None:
        make(sink)
        data = bytearray(sink._cog.read_bytes())
        if damage == "cut":
            sink._cog.write_bytes(data[: len(data) - 1500])
        elif damage == "flipped":
            data[-700] ^= 0xFF
            sink._cog.write_bytes(data)
        elif damage == "gone":
            sink._cog.unlink()
        else:
            with (
                pytest.warns(NotGeoreferencedWarning),
                rasterio.open(
                    sink._cog, "w", driver="GTiff", width=52, height=40, count=2, dtype="uint16"
                ),
            ):
                pass

    monkeypatch.setattr(CogSink, "_make_cog", spoil)
    with pytest.raises(OutputError, match="nothing was published"):
        store(tmp_path / "out.tif", BASE, pixels(BASE))
    assert list(tmp_path.iterdir()) == []


def test_what_gdal_says_unwrapped_is_a_sentence_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a real full disk, closing a dataset raised this."""

    def fail(_: CogSink) -> None:
        raise CPLE_BaseError(3, 1, "TIFFRewriteDirectory: no directory count")

    monkeypatch.setattr(CogSink, "_make_cog", fail)
    with pytest.raises(OutputError, match="TIFFRewriteDirectory"):
        store(tmp_path / "out.tif", BASE, pixels(BASE))


FULL_DISK = """
import resource, signal, sys
import numpy as np
from contextlib import ExitStack
from dataclasses import replace
from tests.scene.test_cog_sink import BASE, store
from ultrares.errors import OutputError
from ultrares.types import Shape
limit, target = int(sys.argv[1]), sys.argv[2]
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
profile = replace(BASE, shape=Shape(600, 600))
noise = np.random.default_rng(0).integers(0, 65536, (2, 600, 600)).astype(np.uint16)
try:
    store(target, profile, noise, side=256)
except OutputError as error:
    print(error)
    raise SystemExit(7)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="file size limits are POSIX")
@pytest.mark.parametrize("limit", [0, 200, 400_000, 1_440_000, 1_600_000])
def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path: Path, limit: int) -> None:
    """The staging file takes 1.44 MB and the COG with its overviews more, so each limit hits elsewhere."""
    result = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(limit), str(tmp_path / "out.tif")],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 7, result.stderr
    assert "out.tif" in result.stdout
    assert "nothing was published" in result.stdout
    assert result.stdout.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_the_profile_of_a_spread_says_what_is_true_of_it(tmp_path: Path) -> None:
    alpha = BandProfile(colorinterp=ColorInterp.alpha)
    profile = replace(BASE, bands=(NIR, BandProfile(), alpha), masked=True).of_spread()
    store(tmp_path / "std.tif", profile, pixels(profile))
    with RasterSource(tmp_path / "std.tif") as result:
        found = result.profile
    assert [band.description for band in found.bands] == ["std of nir", "std of band 2"]
    assert found.dtype == np.float32
    assert (found.crs, found.transform) == (BASE.crs, BASE.transform)
    assert (found.bands[0].scale, found.bands[0].offset) == (NIR.scale, 0)
    assert found.bands[0].unit == "reflectance"
    assert found.nodata is not None
    assert np.isnan(found.nodata)
    assert not found.masked
