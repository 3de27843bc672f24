from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.scene.conftest import UTM, Cubic, Drawn, Nearest, Noisy, Writer, assert_block_means
from ultrares.errors import OptionError
from ultrares.scene.array_sink import ArraySink
from ultrares.scene.check import check
from ultrares.scene.cog_sink import CogSink
from ultrares.scene.radiometry import Radiometry
from ultrares.scene.source import ArraySource, RasterSource
from ultrares.scene.upscale import aoi_window, repeat, upscale
from ultrares.scene.windows import whole
from ultrares.types import Cell, Shape, Upscaler, Window

RNG = np.random.default_rng(0)
PHOTO = RNG.integers(0, 256, (2, 11, 14)).astype(np.uint8)


def chain(scale: int, **options: Any) -> list[Upscaler]:
    """Noisy levels that reach a scale."""
    levels = (scale - 1).bit_length()
    return [Noisy(phase=level, **options) for level in range(levels)]


def in_memory(
    array: np.ndarray,
    scale: int,
    *,
    levels: Sequence[Upscaler] | None = None,
    aoi: Window | None = None,
    **options: Any,
) -> np.ndarray:
    source = ArraySource(array)
    area = aoi or whole(source.shape)
    sink = ArraySink(source.bands, Shape(scale * area.height, scale * area.width), array.dtype)
    upscale(
        source,
        sink,
        levels or chain(scale),
        scale,
        radiometry=Radiometry.of(source),
        aoi=aoi,
        **options,
    )
    return sink.array


def written(
    path: Any, target: Any, scale: int, window: Window | None = None, **options: Any
) -> np.ndarray:
    with RasterSource(path) as source:
        profile = source.profile.upscaled(scale, window or whole(source.shape))
        with CogSink(target, profile, {"ULTRARES_SCALE": str(scale)}) as sink:
            upscale(
                source,
                sink,
                chain(scale),
                scale,
                radiometry=Radiometry.of(source),
                nodata=source.profile.nodata,
                aoi=window,
                **options,
            )
            sink.commit()
    with RasterSource(target) as result:
        return result.read(whole(result.shape))[0]


@pytest.mark.parametrize("scale", [2, 3, 4, 5, 8])
@pytest.mark.parametrize("exact", [True, False])
def test_tiles_change_nothing(scale: int, exact: bool) -> None:
    array = RNG.integers(0, 60000, (2, 45, 38)).astype(np.uint16)
    everything = in_memory(array, scale, tile=16384, exact=exact)
    for tile in (16, 64, 128, 200):
        assert np.array_equal(in_memory(array, scale, tile=tile, exact=exact), everything)


@pytest.mark.parametrize("exact", [True, False])
def test_cells_beside_a_gap_agree_about_what_fills_it(exact: bool) -> None:
    rows, cols = np.mgrid[0:96, 0:96]
    waves = 2000 + 900 * np.sin(cols / 5) + 700 * np.cos(rows / 7)
    array = (waves + RNG.normal(0, 100, waves.shape))[None].astype(np.uint16)
    valid = np.ones(array.shape, bool)
    valid[:, 28:52, 20:56] = False
    source = ArraySource(array, valid)
    results = []
    for core in (96, 16):
        sink = ArraySink(1, Shape(192, 192), array.dtype)
        radiometry = Radiometry.of(source)
        upscale(source, sink, [Cubic(core=core)], 2, radiometry=radiometry, exact=exact)
        results.append(sink.array)
    assert np.array_equal(results[0], results[1])


@pytest.mark.parametrize("cache_bytes", [0, 1 << 26])
def test_an_area_of_interest_is_the_crop(cache_bytes: int) -> None:
    array = RNG.random((1, 45, 38)).astype(np.float32)
    everything = in_memory(array, 3)
    part = in_memory(array, 3, aoi=Window(7, 11, 20, 9), tile=16, cache_bytes=cache_bytes)
    assert np.array_equal(part, everything[:, 21:81, 33:60])


def test_draws_are_averaged() -> None:
    array = PHOTO.astype(np.float32) - 128
    one = [in_memory(array, 2, levels=[Noisy(phase=phase)]) for phase in (0.0, 1.0, 2.0)]
    mean = in_memory(array, 2, levels=[Drawn()])
    np.testing.assert_allclose(mean, np.mean(one, axis=0), atol=1e-3)
    assert not np.array_equal(mean, one[0])


def with_spread(
    array: np.ndarray, scale: int, levels: Sequence[Upscaler], **options: Any
) -> tuple[np.ndarray, np.ndarray]:
    area = options.get("aoi") or Window(0, 0, *array.shape[1:])
    shape = Shape(scale * area.height, scale * area.width)
    spread = ArraySink(len(array), shape, np.dtype(np.float32))
    mean = in_memory(array, scale, levels=levels, spread=spread, **options)
    return mean, spread.array


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_spread_is_that_of_products_of_one_draw_each(scale: int) -> None:
    """Negative values are allowed, so that nothing is clipped and projecting is linear."""
    array = PHOTO.astype(np.float32) - 128
    phases = (0.0, 1.0, 2.5, 4.0)
    depth = (scale - 1).bit_length()
    draws = [
        in_memory(array, scale, levels=[Noisy(phase=phase + level) for level in range(depth)])
        for phase in phases
    ]
    levels = [Drawn(phases=phases, phase=level) for level in range(depth)]
    mean, spread = with_spread(array, scale, levels)
    np.testing.assert_allclose(spread, np.std(draws, axis=0, ddof=1), atol=1e-3)
    assert spread.mean() > 1
    assert np.array_equal(mean, in_memory(array, scale, levels=levels)), "measuring changes nothing"


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("scale", [3, 4])
def test_tiles_and_areas_change_no_spread(scale: int, exact: bool) -> None:
    array = RNG.integers(0, 60000, (2, 45, 38)).astype(np.uint16)
    levels = [Drawn(phase=level, core=32) for level in range(2)]
    _, everything = with_spread(array, scale, levels, tile=16384, exact=exact)
    for tile in (16, 100):
        _, spread = with_spread(array, scale, levels, tile=tile, exact=exact)
        assert np.array_equal(spread, everything)
    _, part = with_spread(
        array, scale, levels, aoi=Window(7, 11, 20, 9), tile=16, cache_bytes=0, exact=exact
    )
    rows, cols = slice(7 * scale, 27 * scale), slice(11 * scale, 20 * scale)
    assert np.array_equal(part, everything[:, rows, cols])


def test_a_spread_is_missing_where_the_scene_is_and_alpha_has_none(raster: Writer) -> None:
    array = RNG.integers(1, 255, (4, 9, 9)).astype(np.uint8)
    array[3], array[3, 2:5, 3] = 255, 0
    with RasterSource(raster(array, photometric="rgb", alpha="yes")) as source:
        sink = ArraySink(4, Shape(18, 18), source.dtype)
        spread = ArraySink(3, Shape(18, 18), np.dtype(np.float32))
        upscale(source, sink, [Drawn()], 2, radiometry=Radiometry.of(source), spread=spread)
    seen = np.broadcast_to(repeat(array[3:] > 0, 2), (3, 18, 18))
    assert np.array_equal(np.isfinite(spread.array), seen)
    assert spread.array[seen].min() >= 0


def test_progress_counts_every_output_pixel() -> None:
    seen: list[tuple[int, int]] = []
    in_memory(PHOTO, 4, tile=16, on_progress=lambda done, total: seen.append((done, total)))
    assert [total for _, total in seen] == [44 * 56] * len(seen)
    done = [count for count, _ in seen]
    assert done == sorted(set(done))
    assert done[-1] == 44 * 56


@pytest.mark.parametrize("scale", [2, 3, 4, 8, 32, 128])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
def test_block_means_of_the_written_file_are_the_scene(
    raster: Writer, scale: int, dtype: str
) -> None:
    """Both ends of the type, an island without data in one band, and a network that makes noise."""
    side = 3 if scale > 8 else 13
    array = RNG.random((2, side, side)).astype(np.float32)
    nodata: float = np.nan
    if dtype != "float32":
        limits, nodata = np.iinfo(dtype), 77
        array = RNG.integers(limits.min, limits.max, array.shape, endpoint=True).astype(dtype)
        array[0, 0, :2] = limits.min, limits.max
        array[1, 2, :3] = 0, limits.max - 1, 76
    array[0, 1, 1] = nodata
    path = raster(array, nodata=nodata)
    target = path.with_name("fine.tif")
    fine = written(path, target, scale)
    valid = ~np.isnan(array) if dtype == "float32" else array != nodata
    assert fine.dtype == array.dtype
    assert_block_means(fine, array, scale, valid)
    spread = repeat(valid, scale)
    np.testing.assert_array_equal(fine[~spread], np.full((~spread).sum(), nodata, dtype))
    assert not (fine[spread] == nodata).any()
    assert np.nanstd(fine) > 0
    assert check(target, path).problems == []


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_block_means_hold_for_any_integers(data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from(["uint8", "uint16", "int16", "int32"]))
    limits = np.iinfo(dtype)
    values = st.one_of(
        st.sampled_from([limits.min, 0, limits.max]), st.integers(limits.min, limits.max)
    )
    height, width = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 4))
    count = height * width
    pixels = data.draw(st.lists(values, min_size=count, max_size=count))
    array = np.array(pixels, dtype).reshape(1, height, width)
    scale = data.draw(st.sampled_from([2, 3, 4, 6]))
    noisy = [Noisy(phase=i, amplitude=3.0) for i in range(3)][: (scale - 1).bit_length()]
    assert_block_means(in_memory(array, scale, levels=noisy), array, scale)


@pytest.mark.parametrize("value", [0, 1, 255])
def test_a_single_pixel_spreads_without_changing(value: int) -> None:
    array = np.full((1, 1, 1), value, np.uint8)
    fine = in_memory(array, 128)
    assert fine.shape == (1, 128, 128)
    assert_block_means(fine, array, 128)


def test_alpha_is_repeated_and_hides_what_it_hid(raster: Writer) -> None:
    array = RNG.integers(0, 255, (4, 9, 9)).astype(np.uint8)
    array[3] = 255
    array[3, 2:5, 3], array[3, 7, 7] = 0, 128
    path = raster(array, photometric="rgb", alpha="yes")
    target = path.with_name("fine.tif")
    fine = written(path, target, 4)
    assert np.array_equal(fine[3], repeat(array[3:], 4)[0])
    assert_block_means(fine[:3], array[:3], 4)
    assert check(target, path).problems == []


def test_a_mask_band_is_repeated(raster: Writer) -> None:
    import rasterio

    mask = np.full((9, 9), 255, np.uint8)
    mask[2:4, 5:] = 0
    array = RNG.integers(0, 4000, (2, 9, 9)).astype(np.int16)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        path = raster(array, finish=lambda dataset: dataset.write_mask(mask))
    target = path.with_name("fine.tif")
    written(path, target, 3, tile=16)
    with rasterio.open(target) as result:
        assert np.array_equal(result.dataset_mask(), repeat(mask[None], 3)[0])
    assert check(target, path).problems == []


def test_a_written_area_of_interest_is_the_crop_in_pixels_and_place(raster: Writer) -> None:
    path = raster(RNG.integers(0, 255, (1, 20, 24)).astype(np.uint8))
    with RasterSource(path) as source:
        left, top = UTM @ (5.2, 3.7)
        right, bottom = UTM @ (11.0, 9.1)
        window = aoi_window(source.profile, (left, bottom, right, top))
    assert window == Window(3, 5, 7, 6)
    everything = written(path, path.with_name("whole.tif"), 3)
    part = written(path, path.with_name("part.tif"), 3, window)
    assert np.array_equal(part, everything[:, 9:30, 15:33])
    with RasterSource(path.with_name("part.tif")) as result:
        expected = UTM @ Affine.translation(5, 3) @ Affine.scale(1 / 3)
        assert result.profile.transform is not None
        np.testing.assert_allclose(tuple(result.profile.transform), tuple(expected), rtol=1e-13)
    assert check(path.with_name("part.tif"), path).problems == []


@pytest.mark.parametrize(
    "grid", [UTM @ Affine.rotation(20), Affine(2, 0, 5, 0, 2, 7)], ids=["rotated", "south-up"]
)
def test_bounds_on_other_grids_touch_the_pixels_they_should(raster: Writer, grid: Affine) -> None:
    path = raster(np.ones((1, 20, 24), np.uint8), transform=grid)
    with RasterSource(path) as source:
        x, y = grid @ (10.5, 6.5)
        window = aoi_window(source.profile, (x - 1e-4, y - 1e-4, x + 1e-4, y + 1e-4))
    assert window == Window(6, 10, 1, 1)


@pytest.mark.parametrize(
    ("bounds", "word"),
    [
        ((0, 0, 10, 10), "touches no pixel"),
        ((np.nan, 0, 10, 10), "four numbers"),
        ((0, 0, np.inf, 10), "four numbers"),
        ((0, 0, 10), "four numbers"),
    ],
)
def test_bounds_that_make_no_sense_are_refused(raster: Writer, bounds: Any, word: str) -> None:
    with RasterSource(raster(PHOTO)) as source, pytest.raises(OptionError, match=word):
        aoi_window(source.profile, bounds)


def test_bounds_need_a_transform() -> None:
    with pytest.raises(OptionError, match="no transform"):
        aoi_window(ArraySource(PHOTO).profile, (0, 0, 1, 1))


def test_nearest_gives_back_the_scene() -> None:
    fine = in_memory(PHOTO, 6, levels=[Nearest(), Nearest(scale=3)])
    assert np.array_equal(fine, repeat(PHOTO, 6))


def test_no_network_looks_at_what_holds_no_data() -> None:
    array = RNG.normal(0, 1, (2, 24, 64)).astype(np.float32)
    array[:, :, :40] = np.nan
    seen: list[int] = []

    class Watched(Nearest):
        def __call__(self, cell: Cell) -> Tensor:
            seen.append(cell.origin.col)
            return super().__call__(cell)

    fine = in_memory(array, 2, levels=[Watched()], tile=16)
    assert set(seen) == {40, 48, 56}
    np.testing.assert_array_equal(fine, in_memory(array, 2, levels=[Nearest()], tile=128))
