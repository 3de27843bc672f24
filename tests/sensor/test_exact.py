"""The exact projection: whatever goes in, block sums come out as Python counts them."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ultrares.sensor.exact import project_blocks

INTEGERS = ["uint8", "int8", "uint16", "int16", "int32", "uint32", "uint64", "int64"]
FLOATS = ["float32", "float64"]
FACTORS = st.sampled_from([2, 3, 4, 5, 7, 8, 16, 32, 128])
LARGEST = {name: int(np.iinfo(name).max) for name in INTEGERS}


def limits(dtype: str) -> tuple[int, int]:
    """The range of an integer type."""
    return int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)


def blocks_of(image: np.ndarray, factor: int) -> np.ndarray:
    """(C, h * f, w * f) to (C, h, w, f * f)."""
    bands, rows, cols = image.shape
    cut = image.reshape(bands, rows // factor, factor, cols // factor, factor)
    return cut.swapaxes(2, 3).reshape(bands, rows // factor, cols // factor, factor * factor)


@st.composite
def coarse_integers(draw: st.DrawFn, dtype: str) -> np.ndarray:
    """A small image that likes the ends of its range."""
    low, high = limits(dtype)
    shape = (draw(st.integers(1, 2)), draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    values = st.one_of(st.sampled_from([low, low + 1, 0, high - 1, high]), st.integers(low, high))
    count = math.prod(shape)
    return np.array(draw(st.lists(values, min_size=count, max_size=count)), dtype).reshape(shape)


def noisy(coarse: np.ndarray, factor: int, seed: int, spread: float) -> np.ndarray:
    """What a network might have made of it: too far, biased, and sometimes not a number."""
    rng = np.random.default_rng(seed)
    fine = coarse.astype(np.float64).repeat(factor, 1).repeat(factor, 2)
    fine = fine + spread * (rng.standard_normal(fine.shape) + rng.standard_normal())
    strange = rng.random(fine.shape) < 0.02
    fine[strange] = rng.choice([np.nan, np.inf, -np.inf], int(strange.sum()))
    return fine


def assert_sums(fine: np.ndarray, coarse: np.ndarray, factor: int) -> None:
    """Block sums are factor**2 times the coarse pixel, as integers of any length."""
    sums = blocks_of(fine, factor).astype(object).sum(axis=-1)
    assert (sums == coarse.astype(object) * factor**2).all()


@settings(max_examples=120, deadline=None)
@given(st.data())
def test_integer_sums_are_exact_whatever_the_network_says(data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from(INTEGERS))
    low, high = limits(dtype)
    coarse = data.draw(coarse_integers(dtype))
    factor = data.draw(FACTORS)
    spread = data.draw(st.sampled_from([0.0, 0.4, 30.0, 1e5, 1e12, 1e19]))
    forbidden = data.draw(
        st.one_of(st.none(), st.sampled_from([low, low + 1, 0, high]), st.just(0.5))
    )
    fine = noisy(coarse, factor, data.draw(st.integers(0, 9)), spread)
    result = project_blocks(fine, coarse, factor, low=low, high=high, forbidden=forbidden)
    assert result.dtype == coarse.dtype
    assert_sums(result, coarse, factor)
    if forbidden is not None and forbidden in (low, 0, high):
        spared = blocks_of(result, factor)[coarse != forbidden]
        assert not (spared == forbidden).any()


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_float_means_agree_to_a_rounding_and_stay_in_range(data: st.DataObject) -> None:
    dtype = np.dtype(data.draw(st.sampled_from(FLOATS)))
    factor = data.draw(FACTORS)
    size = data.draw(st.sampled_from([1e-30, 0.3, 300.0, 1e16, 1e30]))
    low = data.draw(st.sampled_from([0.0, -np.inf]))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    coarse = (size * rng.random((1, 2, 3))).astype(dtype)
    coarse[0, 0, 0] = data.draw(st.sampled_from([0.0, size]))
    spread = size * data.draw(st.sampled_from([1e-9, 0.1, 10.0]))
    fine = noisy(coarse, factor, data.draw(st.integers(0, 9)), spread)
    result = project_blocks(fine, coarse, factor, low=low, high=np.inf)
    assert np.isfinite(result).all()
    assert result.min() >= low
    sums = [math.fsum(block) for block in blocks_of(result, factor).reshape(-1, factor**2)]
    largest = np.abs(blocks_of(result, factor)).max(axis=-1).reshape(-1).astype(np.float64)
    off = np.abs(np.array(sums) - coarse.reshape(-1).astype(np.float64) * factor**2)
    # One pixel takes what rounding left: half its last digit remains, and float64's own sums.
    digit = np.finfo(dtype).eps / 2 + 4 * factor**2 * np.finfo(np.float64).eps
    assert (off <= digit * largest + np.finfo(dtype).tiny).all()


@pytest.mark.parametrize("dtype", FLOATS)
def test_the_largest_floats_do_not_overflow(dtype: str) -> None:
    limit = np.finfo(dtype).max
    coarse = np.array([[[limit, -limit, 0, limit / 3]]], dtype)
    fine = noisy(coarse, 4, seed=0, spread=float(np.finfo("float32").max))
    result = project_blocks(fine, coarse, 4, low=-np.inf, high=np.inf)
    assert np.isfinite(result).all()
    means = (blocks_of(result, 4).astype(np.float64) / 16).sum(axis=-1)
    np.testing.assert_allclose(means, coarse, rtol=1e-6, atol=float(limit) * 1e-7)


def test_warm_scenes_of_a_small_range_meet_a_millionth_of_it() -> None:
    rng = np.random.default_rng(3)
    coarse = (290 + 10 * rng.random((1, 16, 16))).astype(np.float32)
    fine = noisy(coarse, 2, seed=1, spread=1.0)
    result = project_blocks(fine, coarse, 2, low=0, high=np.inf)
    means = blocks_of(result, 2).astype(np.float64).mean(axis=-1)
    assert np.abs(means - coarse).max() <= 1e-6 * 10


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_projecting_twice_is_projecting_once(data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from(INTEGERS[:6]))
    low, high = limits(dtype)
    coarse = data.draw(coarse_integers(dtype))
    factor = data.draw(st.sampled_from([2, 3, 8]))
    forbidden = data.draw(st.one_of(st.none(), st.sampled_from([low, 0, high])))
    fine = noisy(coarse, factor, data.draw(st.integers(0, 9)), 50.0)
    kept: dict[str, Any] = {"low": low, "high": high, "forbidden": forbidden}
    once = project_blocks(fine, coarse, factor, **kept)
    assert np.array_equal(project_blocks(once, coarse, factor, **kept), once)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 999), st.sampled_from([2, 3, 5, 8]))
def test_feasible_values_move_by_less_than_one(seed: int, factor: int) -> None:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(60, 180, (1, 2, 2)).astype(np.uint8)
    noise = rng.uniform(-25, 25, (1, 2 * factor, 2 * factor))
    mean = blocks_of(noise, factor).mean(axis=-1).repeat(factor, 1).repeat(factor, 2)
    fine = coarse.repeat(factor, 1).repeat(factor, 2) + noise - mean
    result = project_blocks(fine, coarse, factor, low=0, high=255)
    assert np.abs(result.astype(np.float64) - fine).max() < 1


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 7), st.integers(0, 9999))
def test_no_other_integers_of_that_sum_are_closer(centre: int, seed: int) -> None:
    """All blocks of four values of 0 to 7 are tried: none beats the result's distance."""
    fine = np.random.default_rng(seed).uniform(-6, 14, (1, 2, 2))
    result = project_blocks(fine, np.array([[[centre]]], np.uint8), 2, low=0, high=7)
    everything = np.array(list(itertools.product(range(8), repeat=4)), dtype=np.float64)
    candidates = everything[everything.sum(axis=1) == 4 * centre]
    best = ((candidates - fine.reshape(-1)) ** 2).sum(axis=1).min()
    ours = ((result.astype(np.float64) - fine) ** 2).sum()
    assert ours == pytest.approx(best)


def by_hand(values: list[float], centre: int, low: int, high: int) -> list[int]:
    """Shift, clip, floor, and raise the largest remainders, in plain Python."""
    left, right = low - max(values) - 1.0, high - min(values) + 1.0
    for _ in range(200):
        middle = (left + right) / 2
        if sum(min(max(value + middle, low), high) for value in values) > centre * len(values):
            right = middle
        else:
            left = middle
    moved = [min(max(value + left, low), high) for value in values]
    floors = [math.floor(value + 1e-9) for value in moved]
    missing = centre * len(values) - sum(floors)
    order = sorted(range(len(values)), key=lambda place: floors[place] - moved[place])
    return [floor + (place in order[:missing]) for place, floor in enumerate(floors)]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 9999), st.sampled_from([2, 3, 5]), st.sampled_from([5.0, 60.0, 400.0]))
def test_shift_clip_and_largest_remainder_as_by_hand(seed: int, factor: int, spread: float) -> None:
    rng = np.random.default_rng(seed)
    centre = int(rng.choice([1, 2, 100, 250, 254]))
    fine = rng.normal(rng.uniform(0, 255), spread, (1, factor, factor))
    result = project_blocks(fine, np.array([[[centre]]], np.uint8), factor, low=0, high=255)
    assert result.reshape(-1).tolist() == by_hand(fine.reshape(-1).tolist(), centre, 0, 255)


@pytest.mark.parametrize("dtype", [*INTEGERS, *FLOATS])
def test_a_pixel_that_means_no_data_is_repeated(dtype: str) -> None:
    coarse = np.array([[[7, 9]]], dtype)
    fine = noisy(coarse, 3, seed=2, spread=4.0)
    result = project_blocks(fine, coarse, 3, low=0, high=100, forbidden=7)
    assert (result[..., :3] == 7).all()
    assert not (result[..., 3:] == 7).any()
    assert result[..., 3:].std() > 0


@pytest.mark.parametrize("dtype", FLOATS)
def test_strange_floats_are_repeated(dtype: str) -> None:
    coarse = np.array([[[np.nan, np.inf, -np.inf, -3.0]]], dtype)
    result = project_blocks(np.zeros((1, 2, 8)), coarse, 2, low=0, high=np.inf)
    np.testing.assert_array_equal(result, coarse.repeat(2, 1).repeat(2, 2))


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("end", [0, 1])
def test_the_ends_of_the_range_leave_no_choice(dtype: str, end: int) -> None:
    low, high = limits(dtype)
    coarse = np.full((1, 1, 1), (low, high)[end], dtype)
    fine = noisy(coarse, 128, seed=0, spread=1e4)
    result = project_blocks(fine, coarse, 128, low=low, high=high)
    assert (result == coarse).all()


def test_rows_that_are_chunked_are_projected_alike() -> None:
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (1, 40, 8)).astype(np.uint8)
    fine = rng.uniform(0, 255, (1, 40 * 64, 8 * 64)).astype(np.float32)
    whole = project_blocks(fine, coarse, 64, low=0, high=255)
    parts = [
        project_blocks(
            fine[:, 64 * row : 64 * row + 64], coarse[:, row : row + 1], 64, low=0, high=255
        )
        for row in range(40)
    ]
    assert np.array_equal(whole, np.concatenate(parts, axis=1))


def test_a_crowd_of_forbidden_values_parts_in_pairs() -> None:
    coarse = np.full((1, 1, 2), 5, np.int16)
    fine = np.full((1, 4, 8), 5.0)
    fine[0, 0, 0], fine[0, 0, 1] = 4, 6
    low, high = limits("int16")
    zero = project_blocks(fine - 5, coarse - 5 + 1, 4, low=low, high=high, forbidden=0)
    assert_sums(zero, coarse - 4, 4)
    assert not (zero == 0).any()
