"""Several draws: each in few denoiser calls, and computed only where they are wanted."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from ultrares.methods.band_prior import BandPrior
from ultrares.methods.cascade import CascadeLevel, cascade
from ultrares.methods.place import Place, Solve
from ultrares.methods.wavediffur import WaveDiffUR
from ultrares.sensor.models import Box
from ultrares.types import Cell, Origin, Window

DRAWN = Solve(mode="perceptual", draws=3)


@pytest.fixture
def image() -> Tensor:
    return torch.rand(1, 3, 16, 20, generator=torch.Generator().manual_seed(5))


@pytest.fixture
def solver(solver: WaveDiffUR) -> WaveDiffUR:
    """One whose draws take two calls each, if there are several."""
    assert solver.prior is not None
    return WaveDiffUR(solver.backbone, replace(solver.prior, draw_steps=2))


def _cell(level: CascadeLevel, image: Tensor) -> Cell:
    return Cell(image, Origin(0, 0), image, Origin(0, 0), level.factor)


def _made(solver: WaveDiffUR, image: Tensor, how: Solve) -> list[Tensor]:
    made = []
    for level in cascade([solver], 4, how, Box()):
        image = level(_cell(level, image))
        made.append(image)
    return made


def test_each_draw_stays_true_to_its_own_level_before(solver: WaveDiffUR, image: Tensor) -> None:
    first, last = _made(solver, image, DRAWN)
    assert (first.shape, last.shape) == ((3, 3, 32, 40), (3, 3, 64, 80))
    means = last.view(3, 3, 32, 2, 40, 2).mean(dim=(3, 5))
    torch.testing.assert_close(means, first, atol=1e-5, rtol=0)


def test_a_draw_does_not_depend_on_how_many_follow(solver: WaveDiffUR, image: Tensor) -> None:
    three, two = (_made(solver, image, replace(DRAWN, draws=n))[-1] for n in (3, 2))
    torch.testing.assert_close(three[:2], two, atol=1e-5, rtol=0)


def test_samples_are_made_where_they_are_wanted(solver: WaveDiffUR, image: Tensor) -> None:
    mean = torch.rand(1, 3, 32, 40, generator=torch.Generator().manual_seed(6))
    place = Place(Origin(6, 2), level=1, mtf=0.5, depth=0, sampled=Window(4, 2, 8, 10))
    made = solver.sample(image, mean, place, DRAWN)
    inside = (..., slice(8, 24), slice(4, 24))
    shown = (..., slice(4, 12), slice(2, 12))
    there = replace(place, origin=Origin(10, 4), sampled=None)
    alone = solver.sample(image[shown], mean[inside], there, DRAWN)
    torch.testing.assert_close(made[inside], alone, atol=1e-5, rtol=0)
    made[inside] = mean[inside]
    assert torch.equal(made, mean.expand_as(made))


def test_several_draws_take_the_steps_that_were_measured_for_them(
    solver: WaveDiffUR, image: Tensor
) -> None:
    asked: list[int] = []

    class Watched(BandPrior):
        def times(self, sde: object, steps: int) -> Tensor:
            asked.append(steps)
            return super().times(sde, steps)  # type: ignore[arg-type]

    prior = solver.prior
    assert prior is not None
    watched = Watched(prior.net, prior.bands, steps=5, draw_steps=2)
    for how, steps in (
        (replace(DRAWN, draws=2), 2),
        (replace(DRAWN, draws=1), 5),
        (replace(DRAWN, draws=2, steps=3), 3),
    ):
        asked.clear()
        _made(WaveDiffUR(solver.backbone, watched), image, how)
        assert set(asked) == {steps}
