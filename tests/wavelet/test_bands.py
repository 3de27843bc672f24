"""The four bands as a value: order of stacking and the way back."""

import pytest
import torch

from ultrares.wavelet import Bands


def test_stack_is_channel_major_in_the_order_a_v_h_d():
    bands = Bands(*(torch.full((2, 3, 4, 5), float(i)) for i in range(4)))
    stacked = bands.stack()
    assert stacked.shape == (2, 12, 4, 5)
    assert stacked[0, :, 0, 0].tolist() == [0.0] * 3 + [1.0] * 3 + [2.0] * 3 + [3.0] * 3
    assert torch.equal(stacked[:, 3:6], bands.vertical)


def test_unstack_inverts_stack():
    stacked = torch.randn(2, 12, 3, 3)
    bands = Bands.unstack(stacked)
    assert torch.equal(bands.stack(), stacked)
    assert bands.diagonal.shape == (2, 3, 3, 3)


def test_unstack_needs_four_bands():
    with pytest.raises(AssertionError, match="four bands"):
        Bands.unstack(torch.zeros(1, 6, 2, 2))
