from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from affine import Affine
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.enums import ColorInterp

from tests.scene.conftest import UTM
from tests.scene.test_grid import polynomial
from ultrares.errors import MissingExtraError, OutputError, RasterError
from ultrares.scene.overview import halved
from ultrares.scene.profile import BandProfile, SceneProfile
from ultrares.scene.publishing import check_target, commit_together
from ultrares.scene.staging import Staging
from ultrares.scene.windows import tiles, whole
from ultrares.scene.zarr_sink import Layout, ZarrSink, layout_for
from ultrares.scene.zarr_source import ZarrSource
from ultrares.types import Shape, Window

zarr = pytest.importorskip("zarr", reason="needs the zarr extra")
xarray = pytest.importorskip("xarray", reason="xarray is the reader that others use")

RNG = np.random.default_rng(0)
NIR = BandProfile(
    "nir", scale=1e-4, offset=-0.1, unit="reflectance", nodata=0, tags={"": {"WAVELENGTH": "842"}}
)
RED = replace(NIR, description="red", colorinterp=ColorInterp.red, tags={})
BASE = SceneProfile(
    Shape(40, 52), np.dtype("uint16"), (NIR, RED), CRS.from_epsg(31985), UTM,
    tags={"": {"MISSION": "S2"}, "PRODUCT": {"LEVEL": "2A"}},
)  # fmt: skip


def pixels(profile: SceneProfile) -> np.ndarray:
    return RNG.integers(1, 120, (len(profile.bands), *profile.shape)).astype(profile.dtype)


def fill(
    sink: ZarrSink, array: np.ndarray, valid: np.ndarray, side: int, *, back: bool = False
) -> None:
    windows = list(tiles(whole(Shape(*array.shape[-2:])), side))
    for window in windows[::-1] if back else windows:
        rows = slice(window.row, window.row + window.height)
        cols = slice(window.col, window.col + window.width)
        sink.write(window, array[:, rows, cols], valid[:, rows, cols])


def store(
    target: Path,
    profile: SceneProfile,
    array: np.ndarray,
    valid: np.ndarray | None = None,
    **options: Any,
) -> None:
    valid = np.ones(array.shape, bool) if valid is None else valid
    side, back = options.pop("side", 1024), options.pop("back", False)
    options = {"layout": Layout(16, 32)} | options
    with ZarrSink(target, profile, {"ULTRARES_SCALE": "4"}, **options) as sink:
        fill(sink, array, valid, side, back=back)
        sink.commit()


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture(autouse=True)
def nothing_is_left(tmp_path: Path) -> Iterator[None]:
    """Whatever a test does, no staging folder remains."""
    yield
    assert [path.name for path in tmp_path.iterdir() if ".part" in path.name] == []


@pytest.mark.parametrize(
    "dtype", ["uint8", "int8", "uint16", "int16", "uint32", "int64", "uint64", "float32", "float64"]
)
def test_pixels_and_all_that_is_said_about_them_survive(tmp_path: Path, dtype: str) -> None:
    profile = replace(BASE, dtype=np.dtype(dtype))
    array = pixels(profile)
    array[:, :7, :9] = 0
    store(tmp_path / "out.zarr", profile, array, array > 0, side=32)
    with ZarrSource(tmp_path / "out.zarr") as result:
        found = result.profile
        read, valid = result.read(whole(result.shape))
    assert read.dtype == dtype
    assert np.array_equal(read, array)
    assert np.array_equal(valid, array > 0)
    assert found.tags[""].pop("ULTRARES_SCALE") == "4"
    assert found == profile


@pytest.mark.parametrize(
    ("dtype", "nodata", "kept"),
    [("int16", -9999, -9999), ("float32", np.nan, np.nan), ("uint8", -9999, None)],
)
def test_nodata_survives_where_the_type_can_hold_it(
    tmp_path: Path, dtype: str, nodata: float, kept: float | None
) -> None:
    profile = replace(BASE, dtype=np.dtype(dtype), bands=(BandProfile(nodata=nodata),))
    store(tmp_path / "out.zarr", profile, pixels(profile))
    with ZarrSource(tmp_path / "out.zarr") as result:
        assert repr(result.profile.nodata) == repr(None if kept is None else float(kept))


def test_places_of_every_kind_survive(tmp_path: Path) -> None:
    gcps = tuple(
        GroundControlPoint(row, col, -35 + col / 7, -8 - row / 9, 3.5, id=f"{row}-{col}")
        for row, col in ((0, 0), (0, 52), (40, 0), (40, 52))
    )
    kinds: dict[str, dict[str, Any]] = {
        "rotated": {"transform": UTM @ Affine.rotation(33)},
        "nowhere": {"crs": None, "transform": None},
        "points": {"crs": CRS.from_epsg(4326), "transform": None, "gcps": gcps},
        "polynomials": {"crs": None, "transform": None, "rpcs": polynomial()},
    }
    for name, place in kinds.items():
        profile = replace(BASE, **place)
        store(tmp_path / f"{name}.zarr", profile, pixels(profile))
        with ZarrSource(tmp_path / f"{name}.zarr") as result:
            found = result.profile
        assert (found.crs, found.transform, found.rpcs) == (
            profile.crs, profile.transform, profile.rpcs
        )  # fmt: skip
        assert [p.asdict() for p in found.gcps] == [p.asdict() for p in profile.gcps]


def test_xarray_and_rioxarray_see_pixels_coordinates_and_reference_system(tmp_path: Path) -> None:
    rioxarray = pytest.importorskip("rioxarray")
    profile = replace(BASE, shape=Shape(600, 700))
    array = pixels(profile)
    array[0, :5, :5] = 0
    store(tmp_path / "out.zarr", profile, array, array > 0, layout=Layout(128, 256), side=256)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = xarray.open_zarr(tmp_path / "out.zarr")
        image = data.image.load()
        coarse = xarray.open_zarr(tmp_path / "out.zarr", group="overviews/2").image.load()
        assert rioxarray is not None
        assert image.rio.crs == profile.crs
        assert tuple(image.rio.transform()) == tuple(UTM)
        assert tuple(coarse.rio.transform()) == tuple(UTM @ Affine.scale(2))
        assert image.rio.encoded_nodata == 0
    assert image.dims == ("band", "y", "x")
    assert float(image.x[0]) == UTM.c + UTM.a / 2
    assert float(image.y[-1]) == UTM.f + 599.5 * UTM.e
    expected = np.where(array > 0, array * 1e-4 - 0.1, np.nan)
    np.testing.assert_allclose(image.to_numpy(), expected, atol=1e-12)
    assert image.attrs["long_name"] == ["nir", "red"]
    truth = halved(array, array > 0, 0).pixels
    np.testing.assert_allclose(
        coarse.to_numpy(), np.where(truth > 0, truth * 1e-4 - 0.1, np.nan), atol=1e-12
    )
    assert image.attrs["statistics"][0]["maximum"] == array[0].max()
    assert data.attrs["ULTRARES_SCALE"] == "4"


def test_it_is_version_3_in_shards_with_consolidated_metadata(tmp_path: Path) -> None:
    profile = replace(BASE, shape=Shape(600, 700))
    store(tmp_path / "out.zarr", profile, pixels(profile), layout=Layout(128, 256), side=256)
    said = json.loads((tmp_path / "out.zarr" / "zarr.json").read_text())
    assert said["zarr_format"] == 3
    described = said["consolidated_metadata"]["metadata"]
    assert {"image", "x", "y", "spatial_ref", "overviews/2/image"} <= set(described)
    image = zarr.open_group(str(tmp_path / "out.zarr"), mode="r")["image"]
    assert (image.shards, image.chunks) == ((2, 256, 256), (1, 128, 128))
    assets = [level["asset"] for level in said["attributes"]["multiscales"]["layout"]]
    assert assets == ["image", "overviews/2/image"]
    shards = [path for path in files(tmp_path / "out.zarr") if path.startswith("image/c/")]
    assert len(shards) == 3 * 3


def test_the_order_of_writing_changes_no_byte(tmp_path: Path) -> None:
    array = pixels(BASE)
    for name, back in {"one": False, "two": True}.items():
        store(tmp_path / f"{name}.zarr", BASE, array, side=32, back=back)
    assert files(tmp_path / "one.zarr") == files(tmp_path / "two.zarr")


def test_windows_that_cut_shards_change_no_pixel(tmp_path: Path) -> None:
    array = pixels(BASE)
    store(tmp_path / "out.zarr", BASE, array, side=13)
    with ZarrSource(tmp_path / "out.zarr") as result:
        assert np.array_equal(result.read(whole(result.shape))[0], array)


def test_a_mask_and_an_alpha_band_are_kept(tmp_path: Path) -> None:
    valid = np.ones((2, 40, 52), bool)
    valid[:, 5:19, 7:33] = False
    bands = (BandProfile(), BandProfile(colorinterp=ColorInterp.alpha))
    masked = replace(BASE, masked=True, bands=(BandProfile(), BandProfile()))
    array = pixels(masked)
    store(tmp_path / "mask.zarr", masked, array, valid, side=17)
    array[1] = np.where(valid[0], 255, 0)
    store(tmp_path / "alpha.zarr", replace(BASE, bands=bands), array)
    for name, lasting in (("mask", valid), ("alpha", valid | [[[False]], [[True]]])):
        with ZarrSource(tmp_path / f"{name}.zarr") as result:
            assert np.array_equal(result.read(whole(result.shape))[1], lasting)
            assert result.sample()[0].shape == (2, 40, 52)


def test_an_overview_averages_what_is_valid() -> None:
    array = np.array([[[1, 2, 9], [5, 0, 0], [7, 7, 3]]], np.uint8)
    made = halved(array, array > 0, 0)
    assert made.pixels.tolist() == [[[3, 9], [7, 3]]]
    assert made.valid.all()
    assert halved(array * 0, array < 0, 7).pixels.tolist() == [[[7, 7], [7, 7]]]
    # A mean that happens to be the value without data steps off it.
    assert halved(np.array([[[6, 8]]], np.uint8), np.ones((1, 1, 2), bool), 7).pixels == [[[8]]]


def test_layouts_hold_whole_tiles_of_whole_pixels() -> None:
    for factor in (2, 3, 4, 7, 10, 64, 128):
        for tile in (16, 100, 512, 1000, 2048):
            chunk, shard = layout_for(max(tile, factor), factor)
            assert chunk % factor == shard % chunk == 0
            assert 0 < chunk <= shard <= max(tile, factor)
    assert layout_for(2048, 4) == (512, 2048)
    assert layout_for(2048, None) == (512, 512)


def test_failures_leave_nothing_or_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "out.zarr"
    array, valid = pixels(BASE), np.ones((2, 40, 52), bool)

    def half_way() -> None:
        with ZarrSink(target, BASE) as sink:
            sink.write(Window(0, 0, 16, 52), array[:, :16], valid[:, :16])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        half_way()
    with ZarrSink(target, BASE) as sink:
        sink.write(Window(0, 0, 16, 52), array[:, :16], valid[:, :16])
        with pytest.raises(OutputError, match="not every pixel"):
            sink.commit()
    assert list(tmp_path.iterdir()) == []
    store(target, BASE, array)
    before = files(target)

    with ZarrSink(target, BASE) as sink:
        fill(sink, array, valid, 64)
        with pytest.raises(OutputError, match="appeared"):
            sink.commit()

    def refuse(self: Path, other: Path) -> Path:
        if other == target and self.name != "replaced":
            raise OSError(5, "Input/output error")
        return rename(self, other)

    rename = Path.rename
    monkeypatch.setattr(Path, "rename", refuse)
    with ZarrSink(target, BASE, overwrite=True) as sink:
        fill(sink, array + 1, valid, 64)
        with pytest.raises(OutputError, match="Input/output error"):
            commit_together(sink)
    assert files(target) == before


JOB = {"scale": "4"}


def begun(target: Path, array: np.ndarray, side: int, count: int) -> list[Path]:
    """Some windows of a product whose writer then ends; returns the files of its shards."""
    held = Staging(target, JOB, tile=side)
    with ZarrSink(target, MASKED, layout=Layout(16, 32), staging=held) as sink:
        for window in list(tiles(whole(BASE.shape), side))[:count]:
            rows = slice(window.row, window.row + window.height)
            cols = slice(window.col, window.col + window.width)
            part = array[:, rows, cols]
            sink.write(window, part, part > 9)
        shards = [*sink.product.rglob("c/*/*/*"), *sink.product.rglob("mask/c/*/*")]
    return sorted(path for path in shards if path.is_file())


MASKED = replace(BASE, bands=tuple(replace(band, nodata=None) for band in BASE.bands), masked=True)


@pytest.mark.parametrize("side", [32, 64, 13], ids=["shards", "several shards", "pieces"])
def test_a_run_that_ended_early_is_gone_on_with(tmp_path: Path, side: int) -> None:
    array, options = pixels(BASE), {"side": side, "layout": Layout(16, 32)}
    store(tmp_path / "whole.zarr", MASKED, array, array > 9, **options)
    target = tmp_path / "out.zarr"
    windows = list(tiles(whole(BASE.shape), side))
    for count in (1, 2):
        begun(target, array, side, count)
    assert not target.exists()
    with Staging(target, JOB) as held:
        assert set(held.finished) == set(windows[:2])
    held = Staging(target, JOB)
    with ZarrSink(
        target, MASKED, {"ULTRARES_SCALE": "4"}, layout=Layout(16, 32), staging=held
    ) as sink:
        for window in windows:
            if window not in sink.finished:
                rows = slice(window.row, window.row + window.height)
                cols = slice(window.col, window.col + window.width)
                sink.write(window, array[:, rows, cols], array[:, rows, cols] > 9)
        sink.commit()
    assert files(target) == files(tmp_path / "whole.zarr")
    assert {path.name for path in tmp_path.iterdir()} == {"out.zarr", "whole.zarr"}


@pytest.mark.parametrize("damage", ["cut", "flipped", "gone", "longer", "swapped"])
@pytest.mark.parametrize("array_of", ["image", "mask"])
def test_a_shard_that_is_not_as_it_was_written_is_not_believed(
    tmp_path: Path, damage: str, array_of: str
) -> None:
    target = tmp_path / "out.zarr"
    shards = begun(target, pixels(BASE), 32, 3)
    ours = [path for path in shards if f"/{array_of}/" in path.as_posix()]
    stray = ours[0].with_suffix(".0123.partial")
    stray.write_bytes(b"half")
    data, other = (path.read_bytes() for path in ours[:2])
    changed = {
        "cut": data[:-1], "flipped": bytes([data[0] ^ 1]) + data[1:], "longer": data + b"\0",
        "swapped": other,
    }  # fmt: skip
    if damage == "gone":
        ours[0].unlink()
    else:
        ours[0].write_bytes(changed[damage])
    held = Staging(target, JOB)
    with ZarrSink(target, MASKED, layout=Layout(16, 32), staging=held) as sink:
        assert set(sink.finished) == set(list(tiles(whole(BASE.shape), 32))[1:3])
        assert not stray.exists()
        assert not ours[0].exists()
        assert ours[1].exists()


@pytest.mark.parametrize(
    ("room", "kept"),
    [(3, 0), (14, 0), (16, 2), (18, 4), (19, 4)],
    ids=["metadata", "first shard", "third shard", "statistics", "consolidation"],
)
def test_a_full_disk_keeps_what_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int, kept: int
) -> None:
    """Where it fills up is counted in files that zarr writes."""
    from zarr.storage import _local

    array, target = pixels(BASE), tmp_path / "out.zarr"
    store(tmp_path / "whole.zarr", BASE, array, side=32)
    written: list[Path] = []
    original = _local._put

    def fill_up(path: Path, value: Any, exclusive: bool = False) -> int:
        written.append(path)
        if len(written) <= room:
            return original(path, value, exclusive)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    def attempt() -> None:
        options: dict[str, Any] = {
            "layout": Layout(16, 32),
            "staging": Staging(target, JOB, tile=32),
        }
        with ZarrSink(target, BASE, {"ULTRARES_SCALE": "4"}, **options) as sink:
            for window in set(tiles(whole(BASE.shape), 32)) - set(sink.finished):
                rows = slice(window.row, window.row + window.height)
                cols = slice(window.col, window.col + window.width)
                part = array[:, rows, cols]
                sink.write(window, part, np.ones(part.shape, bool))
            sink.commit()

    with monkeypatch.context() as patch:
        patch.setattr(_local, "_put", fill_up)
        with pytest.raises(OutputError, match=r"No space left .*nothing was published") as caught:
            attempt()
    assert (f", {kept} finished tiles are kept" in str(caught.value)) == (kept > 0)
    assert not target.exists()
    attempt()
    assert files(target) == files(tmp_path / "whole.zarr")
    assert {path.name for path in tmp_path.iterdir()} == {"out.zarr", "whole.zarr"}


def test_a_zarr_that_was_about_to_be_replaced_gets_its_name_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, array = tmp_path / "out.zarr", pixels(BASE)
    store(target, BASE, array)
    before = files(target)
    held = Staging(target, JOB)
    with ZarrSink(target, BASE, overwrite=True, layout=Layout(16, 32), staging=held) as sink:
        fill(sink, array + 1, np.ones(array.shape, bool), 32)
        sink.prepare()
        # As if the writer were killed between the two names.
        target.rename(held.replaced)
        monkeypatch.setattr(held, "put_back", lambda: None)
    assert not target.exists()
    with Staging(target, JOB) as held:
        assert files(target) == before
        assert held.verified
    with ZarrSink(target, BASE, overwrite=True, staging=Staging(target, JOB)) as sink:
        sink.commit()
    with ZarrSource(target) as result:
        assert np.array_equal(result.read(whole(result.shape))[0], array + 1)
    assert list(tmp_path.iterdir()) == [target]


def test_damage_before_publication_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = ZarrSink._consolidate
    for kind in ("cut", "gone"):

        def spoil(sink: ZarrSink, kind: str = kind) -> None:
            make(sink)
            shard = next(path for path in (sink.product / "image" / "c").rglob("*/0/0"))
            shard.unlink() if kind == "gone" else shard.write_bytes(shard.read_bytes()[:-9])

        monkeypatch.setattr(ZarrSink, "_consolidate", spoil)
        with pytest.raises(OutputError, match="nothing was published"):
            store(tmp_path / "out.zarr", BASE, pixels(BASE), side=32)
    assert list(tmp_path.iterdir()) == []


def test_overwriting_replaces_all_of_it(tmp_path: Path) -> None:
    large = replace(BASE, shape=Shape(600, 700))
    store(tmp_path / "out.zarr", large, pixels(large), layout=Layout(256, 512))
    array = pixels(BASE)
    store(tmp_path / "out.zarr", BASE, array, overwrite=True)
    assert "overviews" not in [path.name for path in (tmp_path / "out.zarr").iterdir()]
    with ZarrSource(tmp_path / "out.zarr") as result:
        assert np.array_equal(result.read(whole(result.shape))[0], array)


def test_folders_that_are_no_zarr_are_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "scene.tif").touch()
    precious, plain = tmp_path / "precious.zarr", tmp_path / "plain"
    for folder in (precious, plain):
        folder.mkdir()
    for folder, sentence in ((precious, "no Zarr"), (plain, "is a folder")):
        with pytest.raises(OutputError, match=sentence):
            check_target(tmp_path / "scene.tif", folder, overwrite=True)
    store(tmp_path / "out.zarr", BASE, pixels(BASE))
    with pytest.raises(OutputError, match="exists; pass --overwrite"):
        check_target(tmp_path / "scene.tif", tmp_path / "out.zarr", overwrite=False)
    with pytest.raises(OutputError, match="is the input itself"):
        check_target(tmp_path / "out.zarr", tmp_path / "out.zarr", overwrite=True)
    check_target(tmp_path / "scene.tif", tmp_path / "out.zarr", overwrite=True)


# --- what others wrote ----------------------------------------------------------------------------


def written_by_xarray(path: Path, version: int = 3, **variables: Any) -> Path:
    centres = {
        "x": UTM.c + UTM.a * (np.arange(9) + 0.5),
        "y": UTM.f + UTM.e * (np.arange(8) + 0.5),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = xarray.Dataset(variables, coords=centres)
        data["spatial_ref"] = ((), 0, {"crs_wkt": CRS.from_epsg(31985).to_wkt()})
        data.to_zarr(path, zarr_format=version)
    return path


@pytest.mark.parametrize("version", [2, 3])
def test_what_xarray_writes_is_read(tmp_path: Path, version: int) -> None:
    array = RNG.integers(0, 9, (8, 9)).astype(np.int16)
    attributes = {"_FillValue": np.int16(4), "scale_factor": 0.5, "grid_mapping": "spatial_ref"}
    path = written_by_xarray(tmp_path / "in.zarr", version, b4=(("y", "x"), array, attributes))
    with ZarrSource(path) as scene:
        read, valid = scene.read(Window(1, 2, 5, 6))
        found = scene.profile
        assert scene.describe()["driver"] == f"Zarr v{version}"
    assert np.array_equal(read, array[None, 1:6, 2:8])
    assert np.array_equal(valid, read != 4)
    assert (found.crs, found.bands[0].scale) == (CRS.from_epsg(31985), 0.5)
    assert found.transform is not None
    np.testing.assert_allclose(tuple(found.transform), tuple(UTM), rtol=1e-12)


def test_what_is_not_one_raster_is_refused(tmp_path: Path) -> None:
    band = (("y", "x"), np.ones((8, 9), np.uint8))
    many = written_by_xarray(tmp_path / "many.zarr", b4=band, b8=band)
    with pytest.raises(RasterError, match="several rasters: b4, b8"):
        ZarrSource(many)
    with ZarrSource(many, "b8") as scene:
        assert scene.shape == (8, 9)
    with pytest.raises(RasterError, match="no raster 'b9'"):
        ZarrSource(many, "b9")
    none = written_by_xarray(tmp_path / "none.zarr", t=(("time",), np.ones(3)))
    with pytest.raises(RasterError, match="no raster"):
        ZarrSource(none)
    with pytest.raises(RasterError, match="does not exist"):
        ZarrSource(tmp_path / "nowhere.zarr")
    (tmp_path / "text.zarr").write_text("no Zarr")
    with pytest.raises(RasterError, match="no Zarr that can be read"):
        ZarrSource(tmp_path / "text.zarr")
    uneven = written_by_xarray(tmp_path / "uneven.zarr", b4=band)
    zarr.open_group(str(uneven))["x"][3] = 0.0
    with pytest.raises(RasterError, match="not evenly spaced"):
        ZarrSource(uneven)


def test_damage_is_one_sentence(tmp_path: Path) -> None:
    store(tmp_path / "in.zarr", BASE, pixels(BASE))
    for shard in (tmp_path / "in.zarr" / "image" / "c").rglob("*"):
        if shard.is_file():
            shard.write_bytes(b"no shard")
    with ZarrSource(tmp_path / "in.zarr") as scene:
        with pytest.raises(RasterError, match=r"is damaged: Window.*cannot be read"):
            scene.read(Window(0, 0, 4, 4))
        with pytest.raises(RasterError, match="a reduced view"):
            scene.sample()


def test_without_the_library_a_sentence_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "zarr", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'ultrares\[zarr\]'"):
        ZarrSink(tmp_path / "out.zarr", BASE)
    with pytest.raises(MissingExtraError):
        ZarrSource(tmp_path / "out.zarr")
    shutil.rmtree(tmp_path / "out.zarr", ignore_errors=True)
