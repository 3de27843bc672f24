from __future__ import annotations

import math

import numpy as np
import pytest

from ultrares.errors import InputError
from ultrares.metrics.consistency import lr_psnr
from ultrares.sensor.models import Bicubic, Box


def test_block_means_are_held_to_the_box_and_not_to_the_bicubic() -> None:
    coarse = np.random.default_rng(1).integers(0, 256, size=(3, 8, 10)).astype(np.uint8)
    fine = coarse.repeat(4, axis=1).repeat(4, axis=2)
    assert lr_psnr(fine, coarse, Box()) == math.inf
    assert lr_psnr(fine, coarse, Bicubic()) < 60


def test_an_offset_is_seen_whole() -> None:
    coarse = np.full((1, 6, 6), 100.0)
    fine = np.full((1, 12, 12), 102.0)
    expected = 20 * math.log10(255 / 2)
    for sensor in (Box(), Bicubic()):
        assert lr_psnr(fine, coarse, sensor) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("shape", [(3, 9, 8), (3, 8, 12), (2, 8, 8), (8, 8)])
def test_sizes_that_do_not_fit_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"cannot be reduced|no whole multiple"):
        lr_psnr(np.zeros(shape), np.zeros((3, 4, 4)), Box())
