from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from ultrares.methods.band_groups import by_band_groups, by_groups, group_indices


def test_last_group_repeats_its_last_band() -> None:
    assert group_indices(7, 3).tolist() == [[0, 1, 2], [3, 4, 5], [6, 6, 6]]
    assert group_indices(1, 3).tolist() == [[0, 0, 0]]


@pytest.mark.parametrize("bands", [1, 2, 3, 4, 6, 7])
def test_a_bandwise_call_does_not_notice_the_groups(bands: int) -> None:
    image = torch.rand(1, bands, 5, 6)

    def enlarge(group: torch.Tensor) -> torch.Tensor:
        assert group.shape[1] == 3
        return F.interpolate(group, scale_factor=2, mode="nearest")

    assert torch.equal(by_groups(image, 3, enlarge), enlarge_all(image))


def enlarge_all(image: torch.Tensor) -> torch.Tensor:
    return F.interpolate(image, scale_factor=2, mode="nearest")


@pytest.mark.parametrize("bands", [1, 3, 4])
def test_stacks_of_values_stay_with_their_band(bands: int) -> None:
    """Twelve values of a state and five of a guide come in value-major order, and leave so."""
    state = torch.arange(4 * bands, dtype=torch.float32).view(1, -1, 1, 1)
    guide = 100 * torch.arange(5 * bands, dtype=torch.float32).view(1, -1, 1, 1)

    def call(parts: list[torch.Tensor]) -> torch.Tensor:
        assert [part.shape[1] for part in parts] == [12, 15]
        # The last of the guide's five values, added to each of the state's four.
        return parts[0] + parts[1][:, 12:].repeat(1, 4, 1, 1)

    result = by_band_groups([state, guide], bands, 3, call)
    assert torch.equal(result, state + guide[:, 4 * bands :].repeat(1, 4, 1, 1))
