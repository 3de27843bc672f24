"""Guidance by trained bands, against images whose truth is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from ultrares.backbones.wrap import Backbone
from ultrares.methods.band_groups import by_groups
from ultrares.methods.cascade import cascade
from ultrares.methods.cross_scale import CrossScale
from ultrares.methods.csp_wavediffur import CSPWaveDiffUR
from ultrares.methods.guided_bands import MOST, REACH, follows, guided
from ultrares.methods.place import Place, Solve
from ultrares.methods.wavediffur import WaveDiffUR
from ultrares.nets.cross_scale_pyramid import CrossScalePyramid
from ultrares.scene.array_sink import ArraySink
from ultrares.scene.radiometry import Radiometry
from ultrares.scene.source import ArraySource
from ultrares.scene.upscale import upscale
from ultrares.sensor.models import Box
from ultrares.types import AlignedReference, Mode, Origin, Shape

PLACE = Place(Origin(0, 0), level=0, mtf=0.5, depth=0)


def scene(*bands: int, side: int = 48, seed: int = 1) -> torch.Tensor:
    """Smooth noise of a variance that images have, (1, bands, side, side)."""
    noise = torch.randn(1, *bands, side, side, generator=torch.Generator().manual_seed(seed))
    return 0.5 + 0.3 * F.avg_pool2d(noise, 3, 1, 1)


def plain(image: torch.Tensor) -> torch.Tensor:
    return F.interpolate(image, scale_factor=2, mode="bicubic")


def rms(error: torch.Tensor) -> float:
    # Away from the edge, where an enlargement invents what lies beyond.
    return error[..., 8:-8, 8:-8].square().mean().sqrt().item()


def test_a_linear_band_gets_the_detail_of_the_trained_ones() -> None:
    """The network restores the trained bands and nothing of the other: half of it is carried, but for the ridge."""
    truth = scene(3)
    linear = 0.1 + 0.2 * truth[:, :1] + 0.5 * truth[:, 2:]
    truth = torch.cat([truth, linear], dim=1)
    image = F.avg_pool2d(truth, 2)
    fine = torch.cat([truth[:, :3], plain(image)[:, 3:]], dim=1)
    result = guided(image, fine, 3)
    lacking = rms(fine[:, 3:] - truth[:, 3:])
    assert torch.equal(result[:, :3], fine[:, :3])
    assert rms(result[:, 3:] - truth[:, 3:]) == pytest.approx((1 - MOST) * lacking, rel=0.12)


def test_an_independent_band_is_left_alone() -> None:
    """But for what three bands explain of a fourth by chance, in a window of so few pixels."""
    image, fine = scene(4, side=48), scene(4, side=96, seed=2)
    carried = scene(1, side=96, seed=3) - 0.5
    fine[:, 3:] = plain(image)[:, 3:] + carried
    kept = guided(image, fine, 3)[:, 3:] - plain(image)[:, 3:]
    share = (kept * carried).mean() / carried.square().mean()
    assert share > 0.75
    assert rms(kept - carried) < 0.4 * rms(carried)


def test_a_flat_band_gets_no_detail() -> None:
    image, fine = scene(4), scene(4, side=96, seed=2)
    image[:, 3], fine[:, 3] = 0.25, 0.25
    torch.testing.assert_close(guided(image, fine, 3), fine, atol=1e-6, rtol=0)


def test_the_regression_is_the_textbook_s() -> None:
    """One pixel's window, by numpy's least squares on as many pixels plus those that make a ridge."""
    known, other = scene(2, side=7), scene(1, side=7, seed=2)
    coefficients, share = follows(known, other)
    points = known.flatten(2)[0].double().numpy()
    values = other.flatten().double().numpy()
    points, values = points - points.mean(axis=1, keepdims=True), values - values.mean()
    ridge = 0.1 * points.var(axis=1).mean() + 1e-6
    rows = np.concatenate([points.T, np.sqrt(49 * ridge) * np.eye(2)])
    expected = np.linalg.lstsq(rows, np.concatenate([values, np.zeros(2)]), rcond=None)[0]
    np.testing.assert_allclose(coefficients[0, :, 0, 3, 3].numpy(), expected, rtol=1e-3)
    unexplained = np.square(values - expected @ points).sum()
    explained = 1 - unexplained / np.square(values).sum()
    assert share[0, 0, 3, 3].item() == pytest.approx(explained, abs=2e-3)


def test_what_lies_beyond_the_reach_has_no_influence() -> None:
    image, fine = scene(5), scene(5, side=96, seed=2)
    inner, cut = slice(10, 38), slice(10 - REACH, 38 + REACH)
    whole = guided(image, fine, 3)[..., 20:76, 20:76]
    there = slice(2 * cut.start, 2 * cut.stop)
    part = guided(image[..., cut, cut], fine[..., there, there], 3)
    margin = slice(2 * REACH, 2 * (REACH + inner.stop - inner.start))
    torch.testing.assert_close(part[..., margin, margin], whole, atol=1e-6, rtol=0)


def test_three_bands_are_bit_for_bit_as_they_were(solver: WaveDiffUR) -> None:
    image = scene(3)
    alone = solver.restore(image, PLACE, Solve(), 1)
    assert torch.equal(solver.super_resolve(image, PLACE, Solve()), alone)


def test_the_solver_guides_the_bands_beyond_three(solver: WaveDiffUR) -> None:
    image = scene(5)
    groups = by_groups(image, 3, lambda group: solver.restore(group, PLACE, Solve(), 2))
    result = solver.solve(image, PLACE, Solve())
    torch.testing.assert_close(result, guided(image, groups, 3), atol=1e-6, rtol=0)
    assert not torch.allclose(result[:, 3:], groups[:, 3:], atol=1e-4)


def test_a_backbone_that_draws_is_not_guided() -> None:
    net = Backbone({2: plain}, "drawing", bands=3, halo=2, stochastic=True)
    image = scene(5)
    torch.testing.assert_close(WaveDiffUR(net).super_resolve(image, PLACE, Solve()), plain(image))


def test_the_context_holds_the_window_of_a_network_that_needs_less() -> None:
    net = Backbone({2: plain}, "narrow", bands=3, halo=2)
    assert WaveDiffUR(net).context >= REACH
    assert WaveDiffUR(replace(net, bands=None)).context == 2


def test_a_reference_that_is_believed_knows_better(solver: WaveDiffUR) -> None:
    """Its bands may be the others themselves; where it says nothing, guidance is as without one."""
    pyramid = CrossScalePyramid(width=12, heads=3).eval()
    csp = CSPWaveDiffUR(solver.backbone, CrossScale(pyramid, None))
    image, pixels = scene(5), scene(5, side=96, seed=2)
    without = csp.solve(image, PLACE, Solve())
    groups = by_groups(image, 3, lambda group: csp.restore(group, PLACE, Solve(), 2))
    torch.testing.assert_close(without, guided(image, groups, 3), atol=1e-5, rtol=0)
    for valid in (0.0, 1.0):
        reference = AlignedReference(pixels, torch.full((1, 1, 96, 96), valid))
        with torch.no_grad():
            result = csp.solve(image, PLACE, Solve(), reference=reference)
            alone = [
                csp.solve(
                    image[:, bands],
                    PLACE,
                    Solve(),
                    reference=AlignedReference(pixels[:, bands], reference.valid),
                )
                for bands in ([0, 1, 2], [3, 4, 4])
            ]
        grouped = torch.cat(alone, dim=1)[:, :5]
        expected = guided(image, grouped, 3) if valid == 0 else grouped
        torch.testing.assert_close(result, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("mode", ["fidelity", "perceptual"])
def test_tiles_change_nothing_in_five_bands(solver: WaveDiffUR, mode: Mode) -> None:
    """The scene is longer than a cell, so tiles lie across a seam."""
    pixels = (255 * scene(5, side=300)[0, :, :24]).clamp(0, 255).numpy().astype(np.uint8)
    source = ArraySource(pixels)
    made = []
    for tile in (64, 4096):
        levels = cascade([solver], 2, Solve(mode=mode, steps=1), Box())
        assert levels[0].core < 300
        sink = ArraySink(5, Shape(48, 600), pixels.dtype)
        upscale(source, sink, levels, 2, radiometry=Radiometry.of(source), tile=tile)
        made.append(sink.array)
    assert np.array_equal(made[0], made[1])


def test_cells_meet_in_five_bands(solver: WaveDiffUR) -> None:
    """What a cell makes of its core does not depend on how much lies around it beyond its halo."""
    (level,) = cascade([solver], 2, Solve(), Box())
    image = scene(5)
    whole = solver.solve(image, PLACE, Solve())
    top = 20 - level.halo
    part = solver.solve(image[..., top : 28 + level.halo, :], PLACE, Solve())
    core = part[..., 2 * level.halo : 2 * (level.halo + 8), :]
    torch.testing.assert_close(core, whole[..., 40:56, :], atol=1e-5, rtol=0)
