from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from ultrares.backbones.bicubic import BicubicBackbone
from ultrares.errors import ScaleError
from ultrares.methods.cascade import cascade, number_of_levels
from ultrares.methods.place import Solve
from ultrares.methods.wavediffur import WaveDiffUR
from ultrares.sensor.models import Bicubic, Box
from ultrares.types import Cell, Origin

BICUBIC = [WaveDiffUR(BicubicBackbone())]


@pytest.mark.parametrize("scale", range(2, 129))
def test_levels_are_the_paper_s_logarithm(scale: int) -> None:
    levels = number_of_levels(scale)
    assert 2**levels >= scale > 2 ** (levels - 1)


@pytest.mark.parametrize(
    ("scale", "word"),
    [
        (0, "enlarge"),
        (1, "enlarge"),
        (-2, "enlarge"),
        (math.nan, "enlarge"),
        (math.inf, "enlarge"),
        (3.5, "whole"),
        (129, "128"),
        (4096, "128"),
    ],
)
def test_impossible_scales_are_refused_in_a_sentence(scale: float, word: str) -> None:
    with pytest.raises(ScaleError, match=word):
        number_of_levels(scale)


def _cell(image: torch.Tensor, factor: int = 1) -> Cell:
    return Cell(image, Origin(0, 0), image, Origin(0, 0), factor)


def test_each_level_keeps_the_block_means_of_the_one_before() -> None:
    image = torch.rand(1, 3, 12, 14)
    for level in cascade(BICUBIC, 8, Solve(), Box()):
        fine = level(_cell(image, 2**level.level))
        torch.testing.assert_close(F.avg_pool2d(fine, 2), image, atol=1e-6, rtol=0)
        image = fine


def test_bicubic_sensor_is_met_up_to_a_few_thousandths() -> None:
    sensor = Bicubic()
    truth = F.interpolate(torch.rand(1, 3, 12, 12), scale_factor=8, mode="bicubic")
    original = sensor.degrade(truth, 8)
    image = original
    for level in cascade(BICUBIC, 8, Solve(), sensor):
        cell = Cell(image, Origin(0, 0), original, Origin(0, 0), 2**level.level)
        image = level(cell)
    residual = (sensor.degrade(image, 8) - original)[..., 4:-4, 4:-4]
    before = (sensor.degrade(BicubicBackbone()(original, scale=2), 2) - original)[..., 4:-4, 4:-4]
    assert residual.abs().max() < before.abs().max() / 5


def test_weights_belong_to_levels_and_the_last_is_repeated() -> None:
    solvers = [WaveDiffUR(BicubicBackbone()) for _ in range(2)]
    levels = cascade(solvers, 16, Solve(), Box())
    assert [level.solver for level in levels] == [solvers[0], solvers[1], solvers[1], solvers[1]]


def test_reuse_equals_progressive_at_the_first_level() -> None:
    image = torch.rand(1, 3, 16, 16)
    padded = F.pad(image, (2, 2, 2, 2), mode="reflect")
    cell = Cell(image, Origin(4, 4), padded, Origin(2, 2), 1)
    (progressive,) = cascade(BICUBIC, 2, Solve(), Box())
    (reuse,) = cascade(BICUBIC, 2, Solve(), Box(), condition="reuse")
    assert torch.equal(progressive(cell), reuse(cell))


def test_reuse_takes_its_low_frequency_from_the_scene() -> None:
    scene = torch.rand(1, 1, 12, 12)
    wide = F.pad(scene, (2, 2, 2, 2), mode="reflect")
    image = torch.rand(1, 1, 24, 24)
    _, reuse = cascade(BICUBIC, 4, Solve(), Bicubic(), condition="reuse")
    enlarged = F.interpolate(wide, scale_factor=2, mode="bicubic", antialias=True)[..., 4:-4, 4:-4]
    cell = Cell(image, Origin(0, 0), wide, Origin(-2, -2), 2)
    torch.testing.assert_close(reuse._reused_condition(cell), enlarged)


def test_halo_covers_the_backbone_and_the_back_projection() -> None:
    (first, second) = cascade(BICUBIC, 4, Solve(), Bicubic())
    (box, _) = cascade(BICUBIC, 4, Solve(), Box())
    assert box.halo == BicubicBackbone.halo
    assert second.halo - box.halo == 2 * (first.halo - box.halo) > 0


def test_means_are_told_their_depth_and_samples_pass_for_sensor_images() -> None:
    cell = _cell(torch.rand(1, 3, 4, 4))
    means = [level._place(cell) for level in cascade(BICUBIC, 16, Solve(), Bicubic())]
    assert [(place.depth, place.mtf) for place in means] == [(i, Bicubic.mtf) for i in range(4)]
    samples = cascade(BICUBIC, 16, Solve(mode="perceptual"), Bicubic())
    places = [level._place_of_sample(cell) for level in samples]
    # The fourth level is beyond what is held to the sensor: there it is the box.
    assert [place.mtf for place in places] == [Bicubic.mtf] * 3 + [Box.mtf]
    assert {place.depth for place in places} == {0}
