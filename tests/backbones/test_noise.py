"""A backbone's noise belongs to seed, draw, level, group and place, through WaveDiffUR too."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ultrares.backbones.noise import fixed_noise, noise_at
from ultrares.methods.cross_scale import CrossScale
from ultrares.methods.csp_wavediffur import CSPWaveDiffUR
from ultrares.methods.place import Place, Solve
from ultrares.methods.wavediffur import WaveDiffUR
from ultrares.types import NoiseAt, Origin, SizeRule


class Noisy:
    """A backbone that is nothing but its noise."""

    name, scales, bands, halo, size_rule, stochastic = "noisy", (2,), 3, 0, SizeRule(), True

    def __call__(
        self,
        image: Tensor,
        *,
        scale: int = 2,
        mtf: float = 0.5,
        depth: int = 0,
        noise: NoiseAt | None = None,
    ) -> Tensor:
        del mtf, depth
        return (noise or fixed_noise(image))(0, image.shape[1], scale)


PLACE = Place(Origin(10, -6), level=1, mtf=0.5, depth=0)


def _solve(image: Tensor, place: Place = PLACE, **how: int) -> Tensor:
    mode = "perceptual" if "draws" in how else "fidelity"
    return WaveDiffUR(Noisy()).solve(image, place, Solve(mode=mode, **how))  # type: ignore[arg-type]


def test_a_window_s_noise_is_cut_from_the_plane() -> None:
    whole = _solve(torch.zeros(1, 5, 16, 16))
    place = Place(Origin(14, 2), PLACE.level, PLACE.mtf, PLACE.depth)
    part = _solve(torch.zeros(1, 5, 6, 8), place)
    torch.testing.assert_close(part, whole[..., 8:20, 16:32], atol=1e-5, rtol=0)


def test_groups_draws_levels_and_seeds_differ() -> None:
    image = torch.zeros(1, 6, 16, 16)
    base = _solve(image)
    assert not torch.isclose(base[:, :3], base[:, 3:]).any()
    draws = _solve(image, draws=2)
    torch.testing.assert_close(draws[:1], base, atol=1e-5, rtol=0)
    assert not torch.isclose(draws[0], draws[1]).all()
    assert not torch.isclose(_solve(image, seed=1), base).all()
    lower = Place(PLACE.origin, 0, PLACE.mtf, PLACE.depth)
    assert not torch.isclose(_solve(image, lower), base).all()
    assert base.std().item() == pytest.approx(1, rel=0.1)


def test_grids_and_steps_share_no_numbers() -> None:
    noise = noise_at(torch.zeros(1, 3, 8, 8), seed=0, origin=Origin(0, 0))
    fields = [noise(0, 3, 2), noise(1, 3, 2), noise(0, 3, 4)[..., :16, :16]]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert not torch.isclose(fields[one], fields[other]).all()


def test_without_noise_a_batch_shares_the_field_at_the_origin() -> None:
    image = torch.zeros(2, 3, 8, 8)
    alone = Noisy()(image)
    assert torch.equal(alone[0], alone[1])
    place = Place(Origin(0, 0), level=0, mtf=0.5, depth=0)
    torch.testing.assert_close(alone[:1], _solve(image[:1], place), atol=1e-5, rtol=0)


def test_algorithm_2_gives_each_group_its_own_noise() -> None:
    solver = CSPWaveDiffUR(Noisy(), CrossScale(None, None))
    image = torch.zeros(1, 6, 16, 16)
    fine = solver.solve(image, PLACE, Solve())
    torch.testing.assert_close(fine, _solve(image), atol=1e-5, rtol=0)
