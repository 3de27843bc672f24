"""The shared suite that every backbone passes, ours and foreign; they are listed in contestants.py."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.backbones.contestants import CONTESTANTS, Contestant
from ultrares.backbones.noise import noise_at
from ultrares.backbones.wavelet_residual import WaveletResidualBackbone
from ultrares.catalogue import load_saved
from ultrares.methods.fitting import fitted
from ultrares.methods.place import Place, Solve
from ultrares.methods.wavediffur import WaveDiffUR
from ultrares.model import Model
from ultrares.nets.wavelet_residual import WaveletResidualNet
from ultrares.types import Backbone, Origin

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(each, id=name, marks=[pytest.mark.weights] if each.weights else [])
        for name, each in CONTESTANTS.items()
    ],
)
def contestant(request: pytest.FixtureRequest) -> Contestant:
    return request.param


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("backbone")


@pytest.fixture(scope="module")
def backbone(contestant: Contestant, folder: Path):
    # Some make use of the benchmarks, which are scripts and no package.
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        yield contestant.make(folder, False)


@pytest.fixture(scope="module")
def image(contestant: Contestant, backbone: Backbone) -> Tensor:
    """Noise whose bands differ in brightness."""
    bands = backbone.bands or 5
    noise = torch.rand((2, bands, *contestant.size), generator=torch.Generator().manual_seed(1))
    return 0.4 * noise + torch.linspace(0.05, 0.55, bands)[:, None, None]


@pytest.fixture(scope="module")
def fine(backbone: Backbone, image: Tensor) -> Tensor:
    """What it makes of the image at its first scale."""
    return enlarged(backbone, image)


@torch.inference_mode()
def enlarged(backbone: Backbone, image: Tensor, scale: int | None = None) -> Tensor:
    """The image at a scale, mirrored to a size that is accepted."""
    scale = scale or backbone.scales[0]
    return fitted(image, backbone.size_rule, scale, lambda fit: backbone(fit, scale=scale))


def test_every_scale_gives_the_promised_shape(backbone: Backbone, image: Tensor) -> None:
    assert backbone.scales
    rows, cols = image.shape[-2:]
    for scale in backbone.scales:
        made = enlarged(backbone, image[:1], scale)
        assert made.shape == (1, image.shape[1], rows * scale, cols * scale)
        assert made.dtype == torch.float32


def test_the_smallest_accepted_image_can_be_taken(backbone: Backbone, image: Tensor) -> None:
    side, scale = backbone.size_rule.enough(1), backbone.scales[-1]
    small = torch.full((1, image.shape[1], side, side + backbone.size_rule.multiple_of), 0.5)
    with torch.inference_mode():
        assert backbone(small, scale=scale).shape[-2] == side * scale


def test_values_stay_in_the_image_s_range_or_a_little_beyond(fine: Tensor) -> None:
    assert fine.isfinite().all()
    assert fine.min() > -1
    assert fine.max() < 2


def test_brightness_is_kept_roughly(image: Tensor, fine: Tensor) -> None:
    """A value range that is not undone, or bands in another order, would not."""
    assert (fine.mean((2, 3)) - image.mean((2, 3))).abs().max() < 0.15


def test_same_image_gives_the_same_result(backbone: Backbone, image: Tensor, fine: Tensor) -> None:
    """Without any noise a stochastic one takes a fixed field."""
    assert torch.equal(enlarged(backbone, image), fine)


@torch.inference_mode()
def test_noise_decides_what_is_drawn_and_nothing_else(backbone: Backbone, image: Tensor) -> None:
    scale = backbone.scales[0]

    def drawn(seed: int) -> Tensor:
        def call(fit: Tensor) -> Tensor:
            return backbone(fit, scale=scale, noise=noise_at(fit, seed=seed, origin=Origin(0, 0)))

        return fitted(image[:1], backbone.size_rule, scale, call)

    first = drawn(0)
    assert torch.equal(first, drawn(0))
    assert torch.equal(first, drawn(1)) is not backbone.stochastic


def test_batch_does_not_mix(backbone: Backbone, image: Tensor, fine: Tensor) -> None:
    torch.testing.assert_close(enlarged(backbone, image[1:]), fine[1:], atol=1e-5, rtol=0)


def test_nothing_beyond_the_halo_matters(
    contestant: Contestant, backbone: Backbone, image: Tensor, fine: Tensor
) -> None:
    if not contestant.local:
        pytest.skip("its card says that pixels beyond the halo have a little influence")
    assert backbone.halo is not None
    near, width = 4 * backbone.scales[0], image.shape[-1]
    assert width > backbone.halo + 12
    changed = image.clone()
    changed[..., : width - backbone.halo - 4] = 0.0
    after = enlarged(backbone, changed)
    torch.testing.assert_close(fine[..., -near:], after[..., -near:], atol=1e-6, rtol=0)
    assert not torch.allclose(fine[..., :near], after[..., :near])


def test_halo_is_not_wasteful(
    contestant: Contestant, backbone: Backbone, image: Tensor, fine: Tensor
) -> None:
    """A pixel at the halo's distance does matter, or the halo is declared too large by more than 2."""
    if contestant.fades or not contestant.local:
        pytest.skip("its influence has no end that could be told from rounding")
    assert backbone.halo is not None
    near, width = backbone.scales[0], image.shape[-1]
    changed = image.clone()
    changed[..., : width - backbone.halo + 2] = 0.0
    after = enlarged(backbone, changed)
    assert not torch.equal(fine[..., -near:], after[..., -near:])


def test_its_card_and_this_list_agree_on_the_halo(
    contestant: Contestant, backbone: Backbone
) -> None:
    assert getattr(backbone, "local", contestant.local) is contestant.local


def test_bfloat16_costs_precision_only(
    contestant: Contestant, folder: Path, image: Tensor, fine: Tensor
) -> None:
    half = enlarged(contestant.make(folder, True), image[:1])
    assert half.dtype == torch.float32
    assert (half - fine[:1]).abs().mean() < 0.02


@pytest.mark.parametrize("bands", [1, 4])
def test_any_number_of_bands_can_be_shown_to_it(
    backbone: Backbone, image: Tensor, bands: int
) -> None:
    solver = WaveDiffUR(backbone, scale=backbone.scales[0])
    shown = image[:1].mean(1, keepdim=True).expand(-1, bands, -1, -1)
    with torch.inference_mode():
        fine = solver.super_resolve(shown, Place(Origin(0, 0), level=0, mtf=0.5, depth=0), Solve())
    assert fine.shape[1] == bands


@pytest.mark.parametrize("one_step", [False, True], ids=["cascade", "one-step"])
def test_a_model_around_it_keeps_block_means_at_a_scale_that_it_lacks(
    backbone: Backbone, image: Tensor, one_step: bool
) -> None:
    coarse = image[0, :, :6, :8].mul(200).round().byte()
    saved = load_saved(backbone, precision="fp32", device="cpu")
    model = Model(saved, one_step=one_step)
    fine = model.upscale(coarse, scale=5).double()
    means = torch.nn.functional.avg_pool2d(fine[None], 5)[0]
    assert torch.equal(means.round(), coarse.double())


@torch.inference_mode()
def test_constant_image_keeps_its_mean_with_zero_weights() -> None:
    net = WaveletResidualNet(width=16, blocks=1).eval()
    flat = torch.full((1, 3, 8, 8), 0.3)
    torch.testing.assert_close(WaveletResidualBackbone(net)(flat), torch.full((1, 3, 16, 16), 0.3))
