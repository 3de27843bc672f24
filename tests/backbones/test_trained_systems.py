"""The weights in ``weights/``: they keep the contract that random weights keep, at their own size."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

import ultrares
from ultrares.backbones.noise import noise_at
from ultrares.backbones.systems import SYSTEMS
from ultrares.catalogue import locate
from ultrares.methods.fitting import fitted
from ultrares.methods.manifest import read_manifest
from ultrares.methods.saved import SavedModel, build_backbone, load_model, save_model
from ultrares.methods.weights import CARD, CONFIG, WEIGHTS
from ultrares.types import Backbone, Origin

SHELF = Path(__file__).parents[2] / "weights"
KEPT = [kind for kind in SYSTEMS if (SHELF / kind / CONFIG).is_file()]

pytestmark = pytest.mark.skipif(not KEPT, reason=f"{SHELF} holds no system, as in a package")


@pytest.fixture(scope="module", params=KEPT)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def saved(kind: str) -> SavedModel:
    return load_model(SHELF / kind, autocast=False)


@pytest.fixture(scope="module")
def backbone(saved: SavedModel) -> Backbone:
    return saved.solvers[0].backbone


@pytest.fixture(scope="module")
def image() -> Tensor:
    """Smooth ground with an edge, in [0, 1]."""
    generator = torch.Generator().manual_seed(1)
    ground = nn.functional.interpolate(
        torch.rand(1, 3, 3, 4, generator=generator), size=(12, 16), mode="bicubic"
    )
    return (0.2 + 0.5 * ground).clamp(0, 1).where(torch.arange(16) < 9, 0.3)


@torch.inference_mode()
def enlarged(backbone: Backbone, image: Tensor, scale: int = 2, seed: int = 0) -> Tensor:
    def call(fit: Tensor) -> Tensor:
        return backbone(fit, scale=scale, noise=noise_at(fit, seed=seed, origin=Origin(0, 0)))

    return fitted(image, backbone.size_rule, scale, call)


def test_all_are_small_and_have_a_card() -> None:
    sizes = {kind: (SHELF / kind / WEIGHTS).stat().st_size for kind in KEPT}
    assert max(sizes.values()) <= 4 * 2**20
    assert sum(sizes.values()) <= 32 * 2**20
    recipes = SHELF.parent / "recipes"
    for kind in KEPT:
        assert (SHELF / kind / CARD).read_text() == (recipes / f"{kind}.md").read_text()
        assert {value.dtype for value in load_file(SHELF / kind / WEIGHTS).values()} <= {
            torch.float16, torch.int64,
        }  # fmt: skip


def test_it_is_the_small_preset_and_found_by_its_name(kind: str, saved: SavedModel) -> None:
    config = saved.manifest.backbone
    assert (saved.manifest.name, config.kind) == (kind, kind)
    assert config.settings == SYSTEMS[kind].presets["small"]
    assert locate(kind) == SHELF / kind
    (info,) = ultrares.models(kind)
    assert (info.present, info.parameters) == (True, saved.manifest.parameters)


def test_each_scale_has_its_shape_and_range(backbone: Backbone, image: Tensor) -> None:
    for scale in backbone.scales:
        fine = enlarged(backbone, image, scale)
        assert fine.shape == (1, 3, 12 * scale, 16 * scale)
        assert fine.isfinite().all()
        assert (fine - 0.5).abs().max() < 1
        # Nothing is brighter or darker as a whole, band by band.
        assert (fine.mean((2, 3)) - image.mean((2, 3))).abs().max() < 0.02


def test_the_seed_decides_all_there_is_to_draw(backbone: Backbone, image: Tensor) -> None:
    first, again, other = (enlarged(backbone, image, seed=seed) for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert torch.equal(first, other) is not backbone.stochastic


def test_bfloat16_costs_precision_only(kind: str, backbone: Backbone, image: Tensor) -> None:
    half = load_model(SHELF / kind, autocast=True).solvers[0].backbone
    difference = enlarged(half, image) - enlarged(backbone, image)
    assert 0 < difference.abs().mean() < 0.01


def test_saved_again_it_is_the_same_file(kind: str, tmp_path: Path) -> None:
    manifest = read_manifest(SHELF / kind)
    net = build_backbone(manifest.backbone)
    assert net is not None
    state = load_file(SHELF / kind / WEIGHTS)
    net.load_state_dict(
        {key.removeprefix("0.backbone."): value.float() for key, value in state.items()}
    )
    again = save_model(tmp_path, manifest, [{"backbone": net}], card="")
    assert again == manifest
    assert (tmp_path / WEIGHTS).read_bytes() == (SHELF / kind / WEIGHTS).read_bytes()


@torch.inference_mode()
def test_a_pixel_does_not_see_beyond_the_halo(backbone: Backbone) -> None:
    """A strip a little longer than the halo: the far end changes, the near end does not."""
    rule, halo = backbone.size_rule, backbone.halo
    assert halo is not None
    rows, cols = rule.enough(1), rule.enough(halo + 8)
    strip = torch.rand(1, 3, rows, cols, generator=torch.Generator().manual_seed(5))
    changed = strip.clone()
    changed[..., : cols - halo - rule.multiple_of] = 0.0
    before, after = enlarged(backbone, strip), enlarged(backbone, changed)
    inner = 2 * rule.multiple_of
    torch.testing.assert_close(before[..., -inner:], after[..., -inner:], atol=1e-5, rtol=0)
    assert not torch.allclose(before[..., :inner], after[..., :inner], atol=1e-3)


def test_any_bands_keep_their_block_means(kind: str) -> None:
    coarse = torch.randint(0, 256, (4, 8, 8), generator=torch.Generator().manual_seed(0)).byte()
    model = ultrares.load(SHELF / kind, precision="fp32")
    fine = model.upscale(coarse, scale=2)
    assert torch.equal(fine.double().view(4, 8, 2, 8, 2).mean((2, 4)), coarse.double())
    assert torch.equal(fine, model.upscale(coarse, scale=2))
    if model._configuration.solvers[0].backbone.stochastic:
        assert not torch.equal(fine, model.upscale(coarse, scale=2, seed=1))
