from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from ultrares.errors import InputError
from ultrares.metrics.sharpness import average_gradient


def test_a_plane_has_the_gradient_of_its_slopes() -> None:
    rows, columns = np.mgrid[:9, :7]
    plane = (3.0 * rows + 4.0 * columns)[None]
    assert average_gradient(plane) == pytest.approx(math.sqrt((3**2 + 4**2) / 2), abs=1e-12)


def test_bytes_do_not_wrap_and_bands_count_alike() -> None:
    board = np.indices((6, 6)).sum(axis=0) % 2 * 255
    image = np.stack([board, np.full((6, 6), 17)]).astype(np.uint8)
    assert average_gradient(image) == pytest.approx(255 / 2)
    assert average_gradient(torch.from_numpy(image)) == pytest.approx(255 / 2)


def test_a_single_row_has_no_gradient() -> None:
    with pytest.raises(InputError, match="2 x 2"):
        average_gradient(np.zeros((3, 1, 8)))
