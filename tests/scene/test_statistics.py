from __future__ import annotations

import json
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ultrares.scene.statistics import Statistics, Tally, exact_sum

RNG = np.random.default_rng(0)


def tally(pixels: np.ndarray, valid: np.ndarray, cuts: list[int]) -> Statistics | None:
    found = Tally()
    for part, usable in zip(np.split(pixels, cuts), np.split(valid, cuts), strict=True):
        found.add(part, usable)
    return found.statistics()


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint32", "int64", "float32", "float64"])
def test_statistics_are_those_of_valid_pixels(dtype: str) -> None:
    pixels = (RNG.normal(40, 9, (30, 40))).astype(dtype)
    valid = np.asarray(RNG.random(pixels.shape) < 0.7)
    found = tally(pixels, valid, [])
    assert found is not None
    values = pixels[valid].astype(np.float64)
    assert (found.minimum, found.maximum) == (values.min(), values.max())
    assert found.mean == pytest.approx(values.mean(), rel=1e-14)
    assert found.stddev == pytest.approx(values.std(), rel=1e-12)
    assert found.valid_percent == pytest.approx(100 * valid.mean())


def test_they_do_not_depend_on_how_the_band_was_cut() -> None:
    pixels = RNG.normal(0, 1, (64, 50)).astype(np.float32) * 10.0 ** RNG.integers(-9, 9, (64, 50))
    valid = np.asarray(RNG.random(pixels.shape) < 0.9)
    first = tally(pixels, valid, [])
    for cuts in ([1], [7, 8, 40], list(range(1, 64))):
        assert tally(pixels, valid, cuts) == first


@pytest.mark.parametrize("dtype", ["uint16", "int64", "float32", "float64"])
def test_parts_that_were_written_down_add_up_to_the_whole(dtype: str) -> None:
    pixels = RNG.normal(1000, 300, (30, 40)).astype(dtype)
    if dtype == "int64":
        pixels[0, 0] = 2**63 - 1
    if dtype == "float64":
        pixels[0, :2] = 1e300, 1e-300
    valid = np.asarray(RNG.random(pixels.shape) < 0.7)
    valid[0] = True
    valid[10:20] = False
    whole = Tally()
    for rows in np.split(np.arange(30), 3):
        part = Tally()
        part.add(pixels[rows], valid[rows])
        whole.merge(Tally.of_terms(json.loads(json.dumps(part.terms()))))
    assert whole.statistics() == tally(pixels, valid, [])


def test_a_band_without_data_has_none() -> None:
    assert tally(np.zeros((2, 2)), np.zeros((2, 2), bool), []) is None


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, width=64), max_size=40))
def test_sums_are_exact(values: list[float]) -> None:
    assert exact_sum(np.array(values, dtype=np.float64)) == sum(map(Fraction, values), Fraction(0))
