"""The noise field: a function of place, normal, independent, and never silently another."""

import hashlib
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ultrares.diffusion import NoiseField
from ultrares.diffusion.noise import _log, _turn
from ultrares.errors import OptionError
from ultrares.types import Window

FIELD = NoiseField(2024)
PLANE = Window(-200, -130, 420, 300)
WHOLE = FIELD.field(PLANE, draw=1, level=2, step=3, bands=2)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_window_equals_the_crop_of_a_larger_one(data):
    top = data.draw(st.integers(0, PLANE.height - 1))
    left = data.draw(st.integers(0, PLANE.width - 1))
    height = data.draw(st.integers(1, PLANE.height - top))
    width = data.draw(st.integers(1, PLANE.width - left))
    window = Window(PLANE.row + top, PLANE.col + left, height, width)
    part = FIELD.field(window, draw=1, level=2, step=3, bands=2)
    assert part.dtype == torch.float32
    assert torch.equal(part, WHOLE[:, top : top + height, left : left + width])


def test_a_band_does_not_depend_on_how_many_are_asked_for():
    window = Window(0, 0, 70, 10)
    assert torch.equal(FIELD.field(window, bands=1), FIELD.field(window, bands=3)[:1])


def test_the_source_gives_the_field_of_each_step():
    window = Window(-3, 5, 8, 9)
    source = FIELD.source(window, draw=4, level=1, bands=2)
    expected = FIELD.field(window, draw=4, level=1, step=6, bands=2)
    assert torch.equal(source(6), expected[None])


def test_the_values_never_change():
    """If this fails, every seed that users have written down gives another picture."""
    block = FIELD.field(Window(-64, 64, 64, 64), draw=5, level=1, step=7, bands=2)[1]
    digest = hashlib.sha256(block.numpy().astype("<f4").tobytes()).hexdigest()
    assert digest[:16] == "49ea5c28c0ae7287"


def test_values_are_the_documented_function_of_philox_words():
    """Box-Muller written out with numpy's own logarithm and cosine."""
    key, counter = np.array([2024, 5 << 40 | 1 << 32 | 7], np.uint64), [0, 1, 2**64 - 1, 1]
    words = np.random.Philox(key=key, counter=np.array(counter, np.uint64)).random_raw(4096) >> 11
    radius = np.sqrt(-2 * np.log((words[:2048] + np.uint64(1)) / 2**53))
    angle = 2 * np.pi * (words[2048:] / 2**53)
    expected = np.concatenate((radius * np.cos(angle), radius * np.sin(angle))).reshape(64, 64)
    block = FIELD.field(Window(-64, 64, 64, 64), draw=5, level=1, step=7, bands=2)[1]
    np.testing.assert_allclose(block.numpy(), expected, rtol=1e-6, atol=1e-7)


def test_the_elementary_functions_are_accurate():
    unit = np.concatenate((np.logspace(-16, 0, 1001), 1 - np.logspace(-16, -1, 1001), [0.5**0.5]))
    np.testing.assert_allclose(_log(unit), np.log(unit), rtol=1e-12)
    turns = np.concatenate((np.linspace(0, 1, 1000, endpoint=False), [1 - 2**-53, 0.125, 0.375]))
    cosine, sine = _turn(turns)
    np.testing.assert_allclose(cosine, np.cos(2 * np.pi * turns), atol=1e-12)
    np.testing.assert_allclose(sine, np.sin(2 * np.pi * turns), atol=1e-12)


def test_the_field_is_standard_normal():
    sample = FIELD.field(Window(-300, 1000, 400, 500)).double().numpy().ravel()
    error = sample.size**-0.5
    assert abs(sample.mean()) < 4 * error
    assert abs(sample.var() - 1) < 4 * error * 2**0.5
    assert abs(stats.skew(sample)) < 4 * error * 6**0.5
    assert abs(stats.kurtosis(sample)) < 4 * error * 24**0.5
    assert stats.kstest(sample, "norm").pvalue > 1e-3


def test_neighbouring_pixels_are_independent():
    plane = FIELD.field(Window(-256, -256, 512, 512))[0].double().numpy()
    error = plane.size**-0.5
    # 32 rows down, the two halves of a block would share their words.
    for rows, cols in [(0, 1), (1, 0), (1, 1), (32, 0), (64, 0), (0, 64)]:
        moved = np.roll(plane, (rows, cols), (0, 1))
        assert abs((plane * moved).mean()) < 4.5 * error
        assert abs((plane**2 * moved**2).mean() - 1) < 4.5 * error * 8**0.5


def test_every_part_of_the_key_gives_independent_noise():
    window = Window(0, 0, 256, 256)
    fields = [
        NoiseField(1).field(window, bands=2)[0],
        NoiseField(1).field(window, bands=2)[1],
        NoiseField(2).field(window)[0],
        NoiseField(-1).field(window)[0],
        NoiseField(1).field(window, draw=1)[0],
        NoiseField(1).field(window, level=1)[0],
        NoiseField(1).field(window, step=1)[0],
        NoiseField(1).field(window, step=2**32 - 1)[0],
        NoiseField(1).field(Window(256, 0, 256, 256))[0],
        NoiseField(1).field(Window(-256, 0, 256, 256))[0],
    ]
    sample = np.stack([field.double().numpy().ravel() for field in fields])
    correlation = np.corrcoef(sample) - np.eye(len(fields))
    assert np.abs(correlation).max() < 4.5 / 256


def test_draw_level_and_step_never_share_a_key():
    edges = [
        (0, 0, 0),
        (0, 0, 2**32 - 1),
        (0, 1, 0),
        (0, 255, 2**32 - 1),
        (1, 0, 0),
        (2**24 - 1, 0, 0),
    ]
    window = Window(0, 0, 4, 4)
    fields = [FIELD.field(window, draw=d, level=v, step=s) for d, v, s in edges]
    assert all(not torch.equal(one, other) for one, other in pairwise(fields))


@pytest.mark.parametrize("wrong", [{"draw": 2**24}, {"level": 256}, {"step": 2**32}, {"step": -1}])
def test_numbers_that_would_collide_are_refused(wrong):
    with pytest.raises(OptionError, match=next(iter(wrong))):
        FIELD.field(Window(0, 0, 1, 1), **wrong)
