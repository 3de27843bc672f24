from __future__ import annotations

import math

import numpy as np
import pytest

from ultrares.errors import InputError
from ultrares.metrics.seams import seam_visibility


def test_a_chequered_offset_is_seen_and_none_is_not() -> None:
    image = np.random.default_rng(1).normal(0, 1, size=(2, 256, 256))
    assert seam_visibility(image, tile=32) == pytest.approx(1, abs=0.05)
    rows, cols = np.indices((256, 256)) // 32
    stepped = image + 2 * ((rows + cols) % 2)
    # Neighbours differ by noise of variance 2, and across borders by a step of 2 on top.
    assert seam_visibility(stepped, tile=32) == pytest.approx(3, abs=0.1)


def test_worked_values() -> None:
    image = np.array([[[0.0, 1, 4, 5]]])
    assert seam_visibility(image, tile=2) == 9
    assert math.isnan(seam_visibility(image, tile=8))


def test_blocks_of_a_method_are_no_seams() -> None:
    rng = np.random.default_rng(2)
    blocks = rng.normal(size=(1, 64, 64)).repeat(4, axis=1).repeat(4, axis=2)
    image = blocks + rng.normal(0, 0.1, size=blocks.shape)
    assert seam_visibility(image, tile=64) > 3
    assert seam_visibility(image, tile=64, period=4) == pytest.approx(1, abs=0.1)


def test_tiles_of_a_pixel_are_refused() -> None:
    with pytest.raises(InputError, match="larger than the 1"):
        seam_visibility(np.zeros((1, 4, 4)), tile=1)
    with pytest.raises(InputError, match="a multiple"):
        seam_visibility(np.zeros((1, 4, 4)), tile=6, period=4)
