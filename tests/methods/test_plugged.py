from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import ultrares
from ultrares.backbones.bicubic import BicubicBackbone
from ultrares.catalogue import load_saved
from ultrares.errors import ModelError
from ultrares.methods.cascade import cascade
from ultrares.methods.one_step import one_step
from ultrares.methods.place import Solve
from ultrares.methods.plugged import plugged
from ultrares.methods.wavediffur import WaveDiffUR
from ultrares.model import Model
from ultrares.sensor.models import Bicubic, Box

NATIVES = [(2,), (4,), (3,), (2, 3, 4), (8,)]


def cubic(image: Tensor, scale: int) -> Tensor:
    return F.interpolate(image, scale_factor=float(scale), mode="bicubic", antialias=True)


def plug(scales: tuple[int, ...], halo: int = 2) -> ultrares.Backbone:
    nets = {scale: (lambda image, scale=scale: cubic(image, scale)) for scale in scales}
    return ultrares.Backbone.wrap(nets, bands=None, halo=halo, name="cubic")


@pytest.mark.parametrize("native", NATIVES)
def test_every_scale_can_be_made_of_any_native_ones(native: tuple[int, ...]) -> None:
    model = ultrares.load(plug(native), device="cpu")
    array = np.random.default_rng(0).integers(1, 255, (1, 2, 3)).astype(np.uint8)
    for scale in (2, 3, 5, 7, 12, 31, 64, 128):
        fine = model.upscale(array, scale=scale).reshape(1, 2, scale, 3, scale)
        assert np.array_equal(np.rint(fine.mean((2, 4))), array)


@pytest.mark.parametrize("sensor", ["bicubic", "mtf:0.3"])
@pytest.mark.parametrize("native", NATIVES)
def test_every_sensor_can_be_met(native: tuple[int, ...], sensor: str) -> None:
    """Levels that look at the scene must begin on its pixels, whatever their steps."""
    model = ultrares.load(plug(native), device="cpu")
    array = np.random.default_rng(0).random((1, 9, 11)).astype(np.float32)
    assert model.upscale(array, scale=6, sensor=sensor).shape == (1, 54, 66)


def test_cells_are_no_larger_for_larger_steps() -> None:
    sides = {}
    for scale in (2, 3, 4, 8, 128):
        solver = WaveDiffUR(plug((scale,)), scale=scale)
        (level,) = cascade([solver], scale, Solve(), Box())
        sides[scale] = level.core * scale
    assert sides == {2: 512, 3: 768, 4: 768, 8: 768, 128: 768}


def test_a_large_scene_has_no_seams_where_cells_meet() -> None:
    """Cubic interpolation is local, so that cells agree with the whole scene at once."""
    # Far from the ends of the range, which are clipped.
    array = np.random.default_rng(0).uniform(0.4, 0.6, (1, 20, 600)).astype(np.float32)
    array[0, 0, :2] = 0, 1
    fine = ultrares.load(plug((3, 4)), device="cpu").upscale(array, scale=3)
    image = torch.from_numpy(array)[None]
    whole = cubic(image, 3)
    whole += F.interpolate(image - F.avg_pool2d(whole, 3), scale_factor=3.0)
    # Rows near the two extreme pixels aside.
    assert np.abs(fine[0] - whole[0, 0].numpy())[12:].max() < 1e-5


def test_a_foreign_backbone_gets_all_the_context_that_it_asks_for() -> None:
    for halo in (5, 70):
        (level,) = cascade([WaveDiffUR(plug((4,), halo), scale=4)], 4, Solve(), Box())
        assert level.halo == halo


def test_one_step_takes_the_largest_step_that_reaches_the_scale_exactly() -> None:
    solvers = [WaveDiffUR(plug((k,)), scale=k) for k in (2, 3, 4)]
    for scale, (step, reached) in {8: (4, 8), 6: (3, 6), 2: (2, 2), 9: (3, 9), 7: (4, 8)}.items():
        upscaler = one_step(solvers, scale, Solve(), Bicubic())
        assert (upscaler.level.scale, upscaler.scale) == (step, reached)


@pytest.mark.parametrize("scale", [2, 3, 8, 9])
@pytest.mark.parametrize("native", NATIVES)
def test_one_step_reaches_every_scale(native: tuple[int, ...], scale: int) -> None:
    model = Model(load_saved(plug(native), precision="fp32", device="cpu"), one_step=True)
    array = np.random.default_rng(0).integers(1, 255, (1, 4, 5)).astype(np.uint8)
    fine = model.upscale(array, scale=scale).reshape(1, 4, scale, 5, scale)
    assert np.array_equal(np.rint(fine.mean((2, 4))), array)


def test_a_class_of_one_s_own_is_a_backbone_too() -> None:
    model = ultrares.load(BicubicBackbone())
    assert (model.name, [solver.scale for solver in model._configuration.solvers]) == (
        "bicubic",
        [2, 4],
    )


def test_samples_are_refused_in_a_sentence() -> None:
    model = ultrares.load(plug((4,)), device="cpu")
    with pytest.raises(ModelError, match="'cubic' has no denoiser"):
        model.upscale(np.ones((1, 4, 4), np.uint8), scale=2, mode="perceptual")


def test_a_class_of_one_s_own_must_take_what_a_solver_tells() -> None:
    class Deaf(BicubicBackbone):
        name = "deaf"

        def __call__(self, image, *, scale=2):  # type: ignore[override]
            return super().__call__(image, scale=scale)

    deaf: Any = Deaf()
    with pytest.raises(ModelError, match=r"'deaf' cannot take .*unexpected keyword argument"):
        plugged([deaf], name="deaf")


def test_a_class_of_one_s_own_that_lies_is_found_out() -> None:
    class Liar(BicubicBackbone):
        name = "liar"
        scales = (2, 3)

        def __call__(self, image, **_: object):
            return super().__call__(image, scale=2)

    with pytest.raises(ModelError, match=r"'liar' made \(1, 3, 34, 46\).* at x3"):
        plugged([Liar()], name="liar")
