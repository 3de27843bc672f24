"""``da.ultrares.upscale`` against the model on the bare array, for any chunks."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr

import ultrares.xarray  # noqa: F401 - registers the accessor
from tests.scene.conftest import assert_block_means
from ultrares.errors import InputError, OptionError, ScaleError

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def _one_thread():
    with dask.config.set(scheduler="synchronous"):
        yield


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    array = RNG.integers(1, 3000, (2, 40, 56)).astype(np.uint16)
    array[:, 8:21, 30:44] = 0
    array[1, 30, 2] = 0
    return array


def as_xarray(array: np.ndarray, chunks: Any = None, **attributes: Any) -> xr.DataArray:
    data: Any = array if chunks is None else da.from_array(array, chunks=chunks)
    return xr.DataArray(data, dims=("band", "y", "x"), attrs=attributes, name="reflectance")


def test_it_is_what_the_model_makes(bicubic, pixels):
    fine = as_xarray(pixels).ultrares.upscale(2, model=bicubic)
    np.testing.assert_array_equal(fine.values, bicubic.upscale(pixels, scale=2))
    assert (fine.dims, fine.name, fine.dtype) == (("band", "y", "x"), "reflectance", "uint16")


@pytest.mark.parametrize(
    ("model", "scale", "options", "chunks"),
    [
        ("bicubic", 4, {}, (2, 40, 56)),
        ("bicubic", 4, {}, (2, (3, 33, 4), (50, 1, 5))),
        ("bicubic", 2, {"sensor": "mtf:0.2"}, (1, 17, 23)),
        ("tiny", 2.5, {"mode": "perceptual", "draws": 2, "seed": 3}, (1, 33, 30)),
    ],
)
def test_lazy_pixels_are_the_eager_ones_for_any_chunks(
    bicubic, tiny, pixels, model, scale, options, chunks
):
    options = options | {"model": {"bicubic": bicubic, "tiny": tiny}[model], "nodata": 0}
    eager = as_xarray(pixels).ultrares.upscale(scale, **options)
    lazy = as_xarray(pixels, chunks).ultrares.upscale(scale, **options)
    assert isinstance(lazy.data, da.Array)
    assert lazy.shape == eager.shape
    assert lazy.dtype == eager.dtype
    np.testing.assert_array_equal(lazy.values, eager.values)


def test_integrals_of_the_operator_are_gathered_once_for_all_chunks(bicubic, pixels):
    # From 2 to 3 the operator goes on, whose integrals are sums over the output.
    small = pixels[:, :24, :24]
    eager = as_xarray(small).ultrares.upscale(3, model=bicubic)
    lazy = as_xarray(small, (2, 14, 24)).ultrares.upscale(3, model=bicubic)
    np.testing.assert_array_equal(lazy.values, eager.values)


def test_chunks_become_chunks(bicubic, pixels):
    lazy = as_xarray(pixels, (1, 17, 23)).ultrares.upscale(4, model=bicubic)
    assert lazy.chunks[1:] == ((68, 68, 24), (92, 92, 40))


def test_nodata_comes_from_the_attributes_and_stays(bicubic, pixels):
    fine = as_xarray(pixels, _FillValue=0).ultrares.upscale(2, model=bicubic)
    valid = (pixels != 0).repeat(2, 1).repeat(2, 2)
    np.testing.assert_array_equal(fine.values != 0, valid)
    assert_block_means(fine.values, pixels, 2, pixels != 0)
    assert fine.attrs == {"_FillValue": 0}


def test_not_a_number_is_no_data(bicubic, pixels):
    array = np.where(pixels == 0, np.nan, pixels).astype(np.float32)
    fine = as_xarray(array).ultrares.upscale(2, model=bicubic)
    assert fine.dtype == np.float32
    np.testing.assert_array_equal(np.isfinite(fine), np.isfinite(array).repeat(2, 1).repeat(2, 2))


@pytest.mark.parametrize("dims", [("y", "x", "band"), ("x", "y", "band"), ("y", "x"), ("x", "y")])
@pytest.mark.parametrize("chunks", [None, -1])
def test_dimensions_keep_their_order(bicubic, pixels, dims, chunks):
    array = as_xarray(pixels)
    given = array if "band" in dims else array.isel(band=0)
    given = given.transpose(*dims)
    given = given if chunks is None else given.chunk(chunks)
    fine = given.ultrares.upscale(2, model=bicubic)
    assert fine.dims == dims
    expected = bicubic.upscale(pixels if "band" in dims else pixels[:1], scale=2)
    ordered = ("band", "y", "x") if "band" in dims else ("y", "x")
    np.testing.assert_array_equal(
        fine.transpose(*ordered).values, expected if "band" in dims else expected[0]
    )


def test_other_names_of_rows_and_columns_can_be_told(bicubic, pixels):
    array = as_xarray(pixels).rename(y="line", x="sample")
    with pytest.raises(InputError, match="no rows and columns"):
        array.ultrares.upscale(2, model=bicubic)
    fine = array.ultrares.upscale(2, model=bicubic, dims=("line", "sample"))
    assert dict(fine.sizes) == {"band": 2, "line": 80, "sample": 112}


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((2, 2, 4, 4), np.uint8), "not time, band"),
        (np.zeros((1, 4, 4), bool), "bool cannot be upscaled"),
        (np.zeros((1, 4, 4), np.float16), "float16 cannot be upscaled"),
        (np.zeros((1, 0, 4), np.uint8), "no pixels"),
        (np.full((1, 4, 4), np.nan), "no valid pixel"),
    ],
)
def test_what_cannot_be_upscaled_is_refused_with_the_reason(bicubic, array, words):
    dims = ("time", "band", "y", "x")[-array.ndim :]
    with pytest.raises(InputError, match=words):
        xr.DataArray(array, dims=dims).ultrares.upscale(2, model=bicubic)


@pytest.mark.parametrize(
    ("scale", "options", "error"),
    [(1, {}, ScaleError), (500, {}, ScaleError), (2, {"seed": 0.5}, OptionError)],
)
@pytest.mark.parametrize("chunks", [None, -1])
def test_wrong_options_are_refused_at_once_even_lazily(
    bicubic, pixels, scale, options, error, chunks
):
    array = as_xarray(pixels, chunks)
    with pytest.raises(error):
        array.ultrares.upscale(scale, model=bicubic, **options)


def test_ultrares_alone_does_not_load_xarray():
    code = (
        "import sys, ultrares; print(sorted({'xarray', 'dask', 'distributed'} & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
