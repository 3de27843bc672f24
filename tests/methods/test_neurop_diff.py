from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from ultrares.errors import ModelError
from ultrares.methods.grid_prior import ScaledStds
from ultrares.methods.place import Solve
from ultrares.methods.saved_operator import (
    GridDenoiserConfig,
    OperatorConfig,
    OperatorManifest,
    PixelDenoiserConfig,
    SavedOperator,
    build_grid_denoiser,
    build_guide,
    build_operator,
    build_pixel_denoiser,
    grid_prior,
    load_operator,
    save_operator,
)
from ultrares.scene.grid_choice import grid_of_scale
from ultrares.scene.grid_stage import GridStage
from ultrares.scene.pyramid import Pyramid
from ultrares.scene.radiometry import Radiometry
from ultrares.scene.source import ArraySource
from ultrares.sensor.models import Box
from ultrares.types import Shape, Window

SIZE = OperatorConfig(features=8, blocks=1, width=16, heads=4, told=True)
DENOISER = GridDenoiserConfig(
    width=8, blocks=(1, 1, 1), features=2, stds=((0.02, 0.03, 0.03, 0.01),) * 7
)
MANIFEST = OperatorManifest(
    name="small", operator=SIZE, denoiser=DENOISER, licence="Apache-2.0", trained_on="nothing"
)


def nets() -> dict[str, nn.Module]:
    torch.manual_seed(0)
    operator = build_operator(SIZE)
    nn.init.normal_(operator.last.weight, std=0.1)
    denoiser, features = build_grid_denoiser(DENOISER), build_guide(DENOISER, SIZE.width)
    nn.init.normal_(denoiser.head.weight, std=0.1)
    assert features is not None
    return {"operator": operator, "denoiser": denoiser, "features": features}


@pytest.fixture
def saved(tmp_path: Path) -> SavedOperator:
    save_operator(tmp_path / "small", MANIFEST, nets(), card="# small\n")
    return load_operator(tmp_path / "small", autocast=False)


def stage(saved: SavedOperator, how: Solve, scale: float = 3.3, bands: int = 3) -> GridStage:
    image = np.random.default_rng(0).random((bands, 90, 100)).astype(np.float32)
    source = ArraySource(image)
    pyramid = Pyramid(source, Radiometry.of(source), [])
    return GridStage(pyramid, saved.step(how, Box()), grid_of_scale(Shape(90, 100), scale))


@pytest.mark.parametrize(
    "how", [Solve(), Solve(mode="perceptual", steps=2), Solve(mode="perceptual", steps=2, draws=3)]
)
def test_a_window_is_cut_from_the_whole(saved: SavedOperator, how: Solve) -> None:
    whole = stage(saved, how).read(Window(0, 0, 297, 330))
    assert whole.shape == (how.draws, 3, 297, 330)
    part = stage(saved, how).read(Window(101, 57, 130, 211))
    assert np.array_equal(part, whole[..., 101:231, 57:268])


def test_seeds_and_draws_differ_and_repeat(saved: SavedOperator) -> None:
    window = Window(20, 30, 40, 40)

    def sample(seed: int, draws: int = 1) -> np.ndarray:
        how = Solve(mode="perceptual", steps=2, seed=seed, draws=draws)
        return stage(saved, how).read(window)

    assert np.array_equal(sample(1), sample(1))
    assert np.abs(sample(1) - sample(2)).mean() > 1e-3
    three = sample(1, draws=3)
    assert np.abs(three[0] - three[1]).mean() > 1e-3
    np.testing.assert_allclose(three[0], sample(1)[0], atol=1e-5)


def test_any_number_of_bands(saved: SavedOperator) -> None:
    for bands in (1, 4, 7):
        for how in (Solve(), Solve(mode="perceptual", steps=1)):
            found = stage(saved, how, bands=bands).read(Window(0, 0, 32, 32))
            assert found.shape == (1, bands, 32, 32)
            assert np.isfinite(found).all()


def test_saving_keeps_it_up_to_half_precision(saved: SavedOperator) -> None:
    roles = nets()
    operator, denoiser, features = roles["operator"], roles["denoiser"], roles["features"]
    fresh = SavedOperator(
        MANIFEST,
        operator.eval(),  # type: ignore[arg-type]
        grid_prior(DENOISER, denoiser, features),  # type: ignore[arg-type]
        autocast=False,
        device="cpu",
    )
    window = Window(0, 0, 64, 64)
    np.testing.assert_allclose(
        stage(saved, Solve()).read(window), stage(fresh, Solve()).read(window), atol=2e-2
    )
    assert saved.manifest.parameters == sum(
        p.numel() for n in roles.values() for p in n.parameters()
    )


def test_without_a_denoiser_nothing_is_drawn(tmp_path: Path) -> None:
    manifest = MANIFEST.model_copy(update={"denoiser": None})
    save_operator(tmp_path, manifest, {"operator": nets()["operator"]}, card="")
    with pytest.raises(ModelError, match="no denoiser"):
        load_operator(tmp_path, autocast=False).step(Solve(mode="perceptual"), Box())


def test_the_residual_s_size_is_interpolated_in_the_logarithm() -> None:
    stds = ScaledStds(tuple((0.01 * 2**i,) * 4 for i in range(7)))
    assert stds.at(1.0).stds[0] == pytest.approx(0.01)
    assert stds.at(2.0).stds[1] == pytest.approx(0.04)
    assert stds.at(2**0.75).stds[2] == pytest.approx(0.01 * 2**1.5)
    assert stds.at(8.0).stds[3] == pytest.approx(0.64)
    assert stds.at(20.0).stds[3] == pytest.approx(0.64)


def test_the_paper_s_size() -> None:
    with torch.device("meta"):
        count = sum(p.numel() for p in build_pixel_denoiser(PixelDenoiserConfig()).parameters())
    assert count == pytest.approx(47.5e6, rel=0.1)


def test_the_paper_s_denoiser_draws_on_pixels(tmp_path: Path) -> None:
    config = PixelDenoiserConfig(width=8, multipliers=(1, 1), attention=None, groups=4, steps=3)
    manifest = MANIFEST.model_copy(update={"denoiser": None, "pixel_denoiser": config})
    unet = build_pixel_denoiser(config)
    save_operator(
        tmp_path, manifest, {"operator": nets()["operator"], "denoiser": unet}, card="# paper\n"
    )
    saved = load_operator(tmp_path, autocast=False)
    one, other = (
        stage(saved, Solve(mode="perceptual", seed=seed), bands=4).read(Window(0, 0, 40, 60))
        for seed in (0, 1)
    )
    assert one.shape == (1, 4, 40, 60)
    assert np.abs(one - other).mean() > 1e-3
    # Estimates are clipped to the range of the images.
    assert -0.01 < one.min() < one.max() < 1.01
