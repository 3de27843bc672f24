"""Haar transform and projector against PyWavelets and their own algebra."""

import pytest
import pywt
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ultrares.wavelet import Bands, lowpass, merge, split

TOLERANCE = {torch.float64: 1e-14, torch.float32: 1e-6, torch.bfloat16: 5e-2}


def image(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def test_bands_of_one_block_match_the_formula():
    a, b, c, d = 1.0, 2.0, 5.0, 11.0
    bands = split(torch.tensor([[[[a, b], [c, d]]]]))
    expected = (
        (a + b + c + d) / 2,
        (-a + b - c + d) / 2,
        (-a - b + c + d) / 2,
        (a - b - c + d) / 2,
    )
    assert tuple(band.item() for band in bands) == expected


def test_a_step_between_columns_is_vertical_detail():
    x = torch.zeros(1, 1, 4, 4)
    x[..., 1::2] = 1
    bands = split(x)
    assert bands.vertical.abs().min() > 0
    assert bands.horizontal.abs().max() == bands.diagonal.abs().max() == 0


@pytest.mark.parametrize(("height", "width"), [(8, 8), (6, 10), (2, 64)])
def test_bands_equal_pywavelets_up_to_the_sign_of_the_details(height, width):
    x = image(2, 3, height, width)
    bands = split(x)
    approx, (horizontal, vertical, diagonal) = pywt.dwt2(x.numpy(), "haar", mode="periodization")
    torch.testing.assert_close(bands.approx, torch.from_numpy(approx))
    torch.testing.assert_close(bands.vertical, -torch.from_numpy(vertical))
    torch.testing.assert_close(bands.horizontal, -torch.from_numpy(horizontal))
    # Two sign changes cancel in the diagonal.
    torch.testing.assert_close(bands.diagonal, torch.from_numpy(diagonal))


@pytest.mark.parametrize(("height", "width"), [(7, 8), (5, 9)])
def test_odd_sides_equal_pywavelets_on_the_reflected_image(height, width):
    x = image(1, 2, height, width)
    wide = torch.nn.functional.pad(x, (0, width % 2, 0, height % 2), mode="reflect")
    approx, _ = pywt.dwt2(wide.numpy(), "haar", mode="periodization")
    torch.testing.assert_close(split(x).approx, torch.from_numpy(approx))


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 17),
    width=st.integers(1, 17),
    dtype=st.sampled_from(list(TOLERANCE)),
    seed=st.integers(0, 99),
)
def test_merge_inverts_split_for_any_side(height, width, dtype, seed):
    x = image(2, 3, height, width, seed=seed, dtype=dtype)
    bands = split(x)
    assert bands.approx.shape == (2, 3, (height + 1) // 2, (width + 1) // 2)
    back = merge(bands, (height, width))
    assert back.dtype == dtype
    torch.testing.assert_close(back, x, rtol=0, atol=4 * TOLERANCE[dtype])


def test_digital_numbers_come_back_exactly():
    x = torch.randint(0, 2**16, (1, 4, 31, 33)).float()
    assert torch.equal(merge(split(x), (31, 33)), x)


def test_merge_without_a_shape_gives_even_sides():
    assert merge(split(image(1, 1, 5, 6))).shape == (1, 1, 6, 6)


def test_merge_refuses_a_shape_that_the_bands_cannot_have_come_from():
    with pytest.raises(AssertionError, match="rows"):
        merge(split(image(1, 1, 4, 4)), (6, 4))


def test_split_is_orthonormal():
    x, y = image(2, 3, 8, 12), image(2, 3, 8, 12, seed=1)
    inner = (split(x).stack() * split(y).stack()).sum()
    torch.testing.assert_close(inner, (x * y).sum())
    torch.testing.assert_close((split(x).stack() ** 2).sum(), (x**2).sum())


def test_gradients_flow_through_the_round_trip():
    x = image(1, 2, 5, 4).requires_grad_()
    loss = (merge(split(x), (5, 4)) ** 2).sum()
    torch.testing.assert_close(torch.autograd.grad(loss, x)[0], 2 * x.detach())


@settings(max_examples=30, deadline=None)
@given(
    rows=st.integers(1, 4),
    cols=st.integers(1, 4),
    levels=st.integers(0, 3),
    dtype=st.sampled_from(list(TOLERANCE)),
)
def test_lowpass_is_idempotent_bit_for_bit(rows, cols, levels, dtype):
    x = image(1, 2, rows * 2**levels, cols * 2**levels, dtype=dtype)
    once = lowpass(x, levels)
    assert once.dtype == dtype
    assert torch.equal(lowpass(once, levels), once)


@pytest.mark.parametrize("levels", [1, 2])
def test_lowpass_is_self_adjoint(levels):
    x, y = image(1, 2, 8, 12), image(1, 2, 8, 12, seed=1)
    torch.testing.assert_close((lowpass(x, levels) * y).sum(), (x * lowpass(y, levels)).sum())


@pytest.mark.parametrize("levels", [1, 2, 3])
def test_lowpass_is_the_mean_of_each_block(levels):
    x, side = image(1, 2, 16, 24), 2**levels
    mean = torch.nn.functional.avg_pool2d(x, side)
    expected = mean.repeat_interleave(side, -1).repeat_interleave(side, -2)
    torch.testing.assert_close(lowpass(x, levels), expected)


@pytest.mark.parametrize(("height", "width"), [(8, 6), (7, 5), (1, 3)])
def test_one_level_keeps_the_approximation_and_nothing_else(height, width):
    x = image(2, 1, height, width)
    approx = split(x).approx
    zero = torch.zeros_like(approx)
    expected = merge(Bands(approx, zero, zero, zero), (height, width))
    torch.testing.assert_close(lowpass(x), expected)


@settings(max_examples=30, deadline=None)
@given(height=st.integers(1, 11), width=st.integers(1, 11), levels=st.integers(0, 4))
def test_lowpass_takes_any_side_and_keeps_constants(height, width, levels):
    x = torch.full((1, 2, height, width), 0.7)
    assert torch.equal(lowpass(x, levels), x)
