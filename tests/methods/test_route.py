from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from tests.methods.test_neurop_diff import saved as saved_operator
from ultrares.backbones.bicubic import BicubicBackbone
from ultrares.backbones.wavelet_residual import WaveletResidualBackbone
from ultrares.errors import ScaleError
from ultrares.methods.area_average import AreaAverage
from ultrares.methods.neurop_diff import NeurOpDiff
from ultrares.methods.place import Solve
from ultrares.methods.route import check_scale, route_of_cascade
from ultrares.methods.saved_operator import SavedOperator
from ultrares.methods.wavediffur import WaveDiffUR
from ultrares.nets.wavelet_residual import WaveletResidualNet
from ultrares.sensor.models import Box

saved = saved_operator
SOLVERS = [WaveDiffUR(BicubicBackbone())]
OURS = [WaveDiffUR(WaveletResidualBackbone(WaveletResidualNet(width=8, blocks=1)))]


def reached(
    scale: float, residual: SavedOperator | None = None, solvers: Sequence[WaveDiffUR] = OURS
) -> tuple[int, object]:
    load = None if residual is None else lambda: residual
    route = route_of_cascade(solvers, scale, Solve(), Box(), residual=load)
    return math.prod(level.scale for level in route.levels), route.last


@pytest.mark.parametrize("scale", [2, 4, 128])
def test_powers_of_two_are_levels_alone(scale: int, saved: SavedOperator) -> None:
    assert reached(scale, saved) == (scale, None)


@pytest.mark.parametrize(("scale", "levels"), [(10, 8), (100, 64), (3, 2), (3.7, 2), (1.5, 1)])
def test_the_operator_goes_on_from_the_last_level(
    scale: float, levels: int, saved: SavedOperator
) -> None:
    found, last = reached(scale, saved)
    assert found == levels
    assert isinstance(last, NeurOpDiff)


@pytest.mark.parametrize(("scale", "levels"), [(10, 16), (3, 4), (3.7, 4), (1.5, 2)])
def test_without_one_a_level_more_is_averaged(scale: float, levels: int) -> None:
    found, last = reached(scale)
    assert found == levels
    assert isinstance(last, AreaAverage) or (last is None and scale == round(scale))


class FourTimes(BicubicBackbone):
    """Stands for a backbone that makes two levels at once."""

    scales = (4,)


X4 = WaveDiffUR(FourTimes(), scale=4)


@pytest.mark.parametrize(
    ("scale", "steps"), [(2, [2]), (4, [4]), (8, [2, 4]), (128, [2, 2, 2, 2, 2, 4])]
)
def test_a_x4_backbone_makes_the_last_two_levels(scale: int, steps: list[int]) -> None:
    route = route_of_cascade(SOLVERS, scale, Solve(), Box(), x4=X4)
    assert [level.scale for level in route.levels] == steps
    assert route.last is None


def test_the_operator_goes_on_from_a_x4_step(saved: SavedOperator) -> None:
    route = route_of_cascade(SOLVERS, 10, Solve(), Box(), x4=X4, residual=lambda: saved)
    assert [level.scale for level in route.levels] == [2, 4]
    assert isinstance(route.last, NeurOpDiff)


@pytest.mark.parametrize(
    ("scale", "levels", "last"),
    [(1.5, [], NeurOpDiff), (2.2, [4], AreaAverage), (3, [4], type(None)), (4.2, [4], NeurOpDiff)],
)
def test_between_two_and_four_the_x4_step_is_averaged(
    scale: float, levels: list[int], last: type, saved: SavedOperator
) -> None:
    route = route_of_cascade(OURS, scale, Solve(), Box(), x4=X4, residual=lambda: saved)
    assert [level.scale for level in route.levels] == levels
    assert isinstance(route.last, last)


@pytest.mark.parametrize(
    ("solver", "scale", "levels", "last"),
    [
        (SOLVERS[0], 1.5, 2, AreaAverage),
        (X4, 1.5, 4, AreaAverage),
        (X4, 2, 4, type(None)),
        (X4, 3.3, 4, AreaAverage),
        (X4, 8, 4, NeurOpDiff),
    ],
)
def test_the_network_that_was_asked_for_is_always_used(
    solver: WaveDiffUR, scale: float, levels: int, last: type, saved: SavedOperator
) -> None:
    """The operator goes on from it, but is never all there is."""
    found, end = reached(scale, saved, [solver])
    assert found == levels
    assert isinstance(end, last)


@pytest.mark.parametrize(("scale", "levels"), [(8, 3), (10, 4)])
def test_samples_take_no_x4_step(scale: int, levels: int, saved: SavedOperator) -> None:
    """Denoisers are trained for x2."""
    how = Solve(mode="perceptual")
    route = route_of_cascade(SOLVERS, scale, how, Box(), x4=X4, residual=lambda: saved)
    assert [level.scale for level in route.levels] == levels * [2]


@pytest.mark.parametrize("scale", [1, 0, -2, math.nan, math.inf, 128.5])
def test_scales_that_no_route_leads_to_are_refused(scale: float) -> None:
    with pytest.raises(ScaleError):
        check_scale(scale)
