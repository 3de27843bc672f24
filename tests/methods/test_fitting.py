from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from ultrares.methods.fitting import fitted
from ultrares.types import SizeRule

SIDES = st.integers(1, 20)


@given(SIDES, SIDES, st.integers(1, 40), st.integers(1, 9), st.integers(2, 3))
def test_any_image_is_mirrored_to_an_accepted_size_and_cropped_back(
    height: int, width: int, minimum: int, multiple: int, scale: int
) -> None:
    rule, shown = SizeRule(minimum, multiple), []

    def nearest(image: torch.Tensor) -> torch.Tensor:
        shown.append(image)
        return image.repeat_interleave(scale, -1).repeat_interleave(scale, -2)

    image = torch.arange(height * width, dtype=torch.float32).view(1, 1, height, width)
    fine = fitted(image, rule, scale, nearest)
    assert torch.equal(fine, image.repeat_interleave(scale, -1).repeat_interleave(scale, -2))
    (seen,) = shown
    assert rule.accepts(*seen.shape[-2:])
    assert not any(
        rule.accepts(side, side)
        for given_side, taken in zip((height, width), seen.shape[-2:], strict=True)
        for side in range(given_side, taken)
    )
    below, right = seen.shape[-2] - height, seen.shape[-1] - width
    mirrored = np.pad(image[0, 0].numpy(), ((0, below), (0, right)), mode="symmetric")
    assert np.array_equal(seen[0, 0].numpy(), mirrored)
