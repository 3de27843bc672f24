from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from rasterio.enums import ColorInterp

from ultrares.scene.profile import SceneProfile
from ultrares.scene.radiometry import Radiometry
from ultrares.scene.source import ArraySource


@dataclass(frozen=True)
class Sampled:
    profile: SceneProfile
    array: np.ndarray
    valid: np.ndarray

    def sample(self) -> tuple[np.ndarray, np.ndarray]:
        return self.array, self.valid


def radiometry(array: np.ndarray, valid: np.ndarray | None = None) -> Radiometry:
    return Radiometry.of(ArraySource(array, valid))


def test_bytes_keep_their_full_range_whatever_they_hold() -> None:
    array = np.full((2, 3, 3), 100, np.uint8)
    found = radiometry(array)
    assert found.low.tolist() == [[[0]]] * 2
    assert found.high.tolist() == [[[255]]] * 2
    assert list(found.bounds) == [0, 255]
    unit = found.normalise(array, array > 0)
    np.testing.assert_allclose(unit.numpy(), 100 / 255, rtol=1e-6)


@pytest.mark.parametrize(
    "dtype", ["int8", "uint16", "int16", "int32", "uint32", "float32", "float64"]
)
def test_normalising_and_back_is_the_identity(dtype: str) -> None:
    array = np.random.default_rng(0).integers(-120, 120, (3, 20, 20)).astype(dtype)
    found = radiometry(array)
    unit = found.normalise(array, np.ones(array.shape, bool))
    back = found.denormalise(unit[0].numpy())
    span = (found.high - found.low).max()
    np.testing.assert_allclose(back, array.astype(float), atol=span * 1e-6)
    floats = array.dtype.kind == "f"
    ends = (-np.inf, np.inf) if floats else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    assert found.bounds == ends


def test_the_range_ignores_outliers_and_invalid_pixels() -> None:
    array = np.random.default_rng(1).uniform(500, 900, (1, 100, 100)).astype(np.float32)
    array[0, 0, 0] = 1e9
    valid = np.ones(array.shape, bool)
    array[0, 50:, :], valid[0, 50:, :] = -9999, False
    found = radiometry(array, valid)
    assert 450 < found.low[0, 0, 0] < 510
    assert 890 < found.high[0, 0, 0] < 950
    assert found.bounds[0] == 0, "reflectance that is never negative stays so"


@pytest.mark.parametrize("value", [0, 7, 65535])
def test_a_flat_band_has_a_range_all_the_same(value: int) -> None:
    array = np.full((1, 4, 4), value, np.uint16)
    found = radiometry(array)
    assert (found.high > found.low).all()
    unit = found.normalise(array, np.ones(array.shape, bool))
    np.testing.assert_allclose(found.denormalise(unit[0].numpy()), value, atol=0.01)


def test_gaps_are_filled_from_neighbours_and_far_away_with_the_median() -> None:
    array = np.full((1, 60, 60), 10.0, np.float32)
    array[0, :, 30:] = 30.0
    valid = np.ones(array.shape, bool)
    valid[0, 20:23, 5:8] = False
    array[~valid] = np.nan
    found = radiometry(array, valid)
    back = found.denormalise(found.normalise(array, valid)[0].numpy())
    np.testing.assert_allclose(back[~valid], 10, atol=0.05)
    nothing = found.normalise(array[:, :5, :5], np.zeros((1, 5, 5), bool))
    np.testing.assert_allclose(nothing.numpy(), found.fill[0])


def test_a_band_without_data_is_given_some_range() -> None:
    array = np.stack([np.full((4, 4), np.nan), np.ones((4, 4))]).astype(np.float32)
    found = radiometry(array)
    unit = found.normalise(array, np.isfinite(array))
    assert bool(unit.isfinite().all())


def test_alpha_is_no_light() -> None:
    array = np.random.default_rng(0).integers(0, 255, (4, 5, 5)).astype(np.uint8)
    source = ArraySource(array)
    bands = [
        *source.profile.bands[:3],
        replace(source.profile.bands[3], colorinterp=ColorInterp.alpha),
    ]
    profile = replace(source.profile, bands=tuple(bands))
    found = Radiometry.of(Sampled(profile, array, np.ones(array.shape, bool)))
    assert found.lit.tolist() == [True, True, True, False]
    assert found.normalise(array, np.ones(array.shape, bool)).shape == (1, 3, 5, 5)


@pytest.mark.parametrize("nodata", [None, 0, 7, 255])
def test_rounding_to_a_type_clips_and_avoids_what_means_no_data(nodata: int | None) -> None:
    levels = np.array([[[-9.0, 0.2, 6.6, 7.4, 254.6, 300.0]]])
    found = radiometry(np.zeros((1, 1, 1), np.uint8))
    result = found.to_type(levels, np.dtype("uint8"), nodata)
    expected = [0, 0, 7, 7, 255, 255]
    moved = {0: 1, 7: 8, 255: 254}
    assert result[0, 0].tolist() == [moved[v] if v == nodata else v for v in expected]


def test_floats_step_off_what_means_no_data() -> None:
    found = radiometry(np.zeros((1, 1, 1), np.float32))
    result = found.to_type(np.array([[[0.0, -1.0, 2.0]]]), np.dtype("float32"), 0.0)
    assert (result != 0).all()
    np.testing.assert_allclose(result[0, 0], [0, 0, 2], atol=1e-40)


@pytest.mark.parametrize("dtype", ["int64", "uint64"])
def test_the_largest_64_bit_integers_do_not_wrap(dtype: str) -> None:
    found = radiometry(np.zeros((1, 1, 1), dtype))
    result = found.to_type(np.array([[[1e30, -1e30]]]), np.dtype(dtype), None)
    limits = np.iinfo(dtype)
    assert result[0, 0, 0] > 0.999 * limits.max
    assert result[0, 0, 1] == limits.min
