from __future__ import annotations

import numpy as np

from ultrares.scene.array_sink import ArraySink
from ultrares.types import Shape, Window


def test_an_array_is_filled_in_place() -> None:
    sink = ArraySink(1, Shape(2, 4), np.dtype("int16"))
    for col in (0, 2):
        sink.write(Window(0, col, 2, 2), np.full((1, 2, 2), col), np.ones((1, 2, 2), bool))
    sink.commit()
    assert sink.array.tolist() == [[[0, 0, 2, 2]] * 2]
    assert sink.array.dtype == np.int16
