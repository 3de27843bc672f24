"""ESRGAN-DP, LE-GAN, RefVAE and LAR-SR behind the contract: sizes, halos, noise, references."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from ultrares.backbones import esrgan_dp, lar_sr, le_gan, ref_vae
from ultrares.backbones.direct import DirectBackbone
from ultrares.backbones.noise import noise_at
from ultrares.backbones.system import SystemPreset
from ultrares.backbones.systems import SYSTEMS
from ultrares.errors import ModelError, ReferenceImageError
from ultrares.methods.manifest import BackboneConfig, Manifest
from ultrares.methods.saved import load_model, save_model
from ultrares.types import Origin

KINDS = ("esrgan-dp", "le-gan", "ref-vae", "lar-sr")

TINY: dict[str, dict[str, Any]] = {
    "esrgan-dp": {"width": 6, "growth": 4, "blocks": 1},
    "le-gan": {"width": 8, "blocks": 1, "heads": 2},
    "ref-vae": {"widths": (8, 6, 4), "codes": 4, "squeezed": 4, "blocks": 1, "sampled": True},
    "lar-sr": {
        "sr_width": 6, "sr_growth": 4, "sr_blocks": 1, "width": 8, "embedded": 4, "codes": 16, "blocks": 1,
        "order_width": 8, "order_layers": 1,
    },
}  # fmt: skip
"""Small in width but local as the small presets are."""


def _awake(kind: str, **changes: object) -> DirectBackbone:
    """A backbone in double precision whose every weight matters."""
    system = SYSTEMS[kind]
    settings = system.with_changes("small", {**TINY[kind], **changes})
    net = system.build(settings)
    generator = torch.Generator().manual_seed(3)
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.15, generator=generator)
    backbone = system.backbone(net.eval().double(), settings, name=kind)
    assert isinstance(backbone, DirectBackbone)
    return backbone


def _image(rows: int, cols: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(1, 3, rows, cols, dtype=torch.float64, generator=generator)


@pytest.mark.parametrize(
    ("kind", "preset", "expected"),
    [
        ("esrgan-dp", "paper", 16.7e6),
        ("ref-vae", "paper", 33.9e6),
    ],
)
def test_the_paper_s_size_is_met_within_a_tenth(
    kind: str, preset: SystemPreset, expected: float
) -> None:
    system = SYSTEMS[kind]
    settings = system.presets[preset]
    with torch.device("meta"):
        net = system.build(settings)
    # Another's frozen encoder is counted apart.
    count = sum(parameter.numel() for parameter in net.parameters() if parameter.requires_grad)
    assert count == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize("kind", KINDS)
def test_the_small_preset_fits_four_megabytes_and_is_local(kind: str) -> None:
    system = SYSTEMS[kind]
    small = system.presets["small"]
    assert system.parameters(small) <= 2e6
    assert small.scales == (2, 4)
    backbone = system.backbone(system.build(small), small, name=kind)
    assert backbone.halo is not None
    assert backbone.halo <= 48


@torch.inference_mode()
@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_a_crop_equals_the_crop_of_the_whole(kind: str, scale: int) -> None:
    """Computed from a window with its halo, at another place than the whole."""
    backbone = _awake(kind)
    multiple = backbone.size_rule.multiple_of
    assert backbone.halo is not None
    halo = -(-backbone.halo // multiple) * multiple
    core = 2 * multiple
    rows = 2 * halo + core + 2 * multiple
    image = _image(rows, rows)
    noise = noise_at(image, seed=4, origin=Origin(3 * multiple, -multiple))
    whole = backbone(image, scale=scale, noise=noise)
    assert whole.shape == (1, 3, scale * rows, scale * rows)
    cut = slice(multiple, multiple + 2 * halo + core)
    part_noise = noise_at(image[..., cut, cut], seed=4, origin=Origin(4 * multiple, 0))
    part = backbone(image[..., cut, cut], scale=scale, noise=part_noise)
    inner = slice(halo * scale, (halo + core) * scale)
    outer = slice((halo + multiple) * scale, (halo + multiple + core) * scale)
    torch.testing.assert_close(part[..., inner, inner], whole[..., outer, outer], atol=1e-9, rtol=0)
    # And the test could have failed: with half the halo cut away, something changes.
    narrow = slice(multiple + halo - multiple, multiple + 2 * halo + core)
    noise = noise_at(
        image[..., narrow, narrow], seed=4, origin=Origin(3 * multiple + halo, halo - multiple)
    )
    cramped = backbone(image[..., narrow, narrow], scale=scale, noise=noise)
    inner = slice(multiple * scale, (multiple + core) * scale)
    assert not torch.allclose(
        cramped[..., inner, inner], whole[..., outer, outer], atol=1e-9, rtol=0
    )


@torch.inference_mode()
@pytest.mark.parametrize("kind", ["ref-vae", "lar-sr"])
def test_draws_follow_their_noise_and_nothing_else(kind: str) -> None:
    backbone = _awake(kind)
    assert backbone.stochastic
    image = _image(8, 8)
    first, again, other = (
        backbone(image, scale=2, noise=noise_at(image, seed=seed, origin=Origin(0, 0)))
        for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)
    # Without noise it is the field of seed 0 at the origin, for each image of a batch.
    both = backbone(image.expand(2, -1, -1, -1), scale=2)
    torch.testing.assert_close(both, first.expand(2, -1, -1, -1))


@torch.inference_mode()
@pytest.mark.parametrize("kind", KINDS)
def test_saved_is_as_before(kind: str, tmp_path: Path) -> None:
    backbone = _awake(kind)
    # Halved precision must not change what is saved.
    backbone.net.half().float()
    settings = SYSTEMS[kind].with_changes("small", TINY[kind])
    config = BackboneConfig(kind=kind, settings=settings)
    manifest = Manifest(name="mine", backbone=config, licence="none", trained_on="nothing")
    save_model(tmp_path, manifest, [{"backbone": backbone.net}], card="")
    saved = load_model(tmp_path, autocast=False)
    assert saved.manifest.backbone.settings == settings
    image = _image(8, 8).float()
    expected = backbone(image)
    torch.testing.assert_close(saved.solvers[0].backbone(image), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_what_does_not_fit_is_refused(kind: str) -> None:
    backbone = _awake(kind)
    with pytest.raises(ModelError, match=r"enlarges by x2, x4 and not by x8"):
        backbone(_image(16, 16), scale=8)
    if backbone.size_rule.multiple_of > 1:
        with pytest.raises(ModelError, match=r"multiples of . *, not 8 x 9"):
            backbone(_image(8, 9))


@pytest.mark.parametrize(
    ("kind", "changes", "word"),
    [
        ("esrgan-dp", {"scales": (3,)}, "x3 is no power of two"),
        ("le-gan", {"width": 9, "heads": 2}, "no multiple of 2 heads"),
        ("le-gan", {"window": 4}, "window is 4"),
        ("ref-vae", {"widths": (8, 8)}, "3 numbers"),
        ("ref-vae", {"encoder": "vgg19", "widths": (8, 8, 8, 8), "bands": 4}, "VGG-19 takes 3"),
        ("lar-sr", {"codes": 1}, "codes"),
    ],
)
def test_a_wrong_setting_is_named(kind: str, changes: dict[str, object], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        SYSTEMS[kind].with_changes("small", changes)


@torch.inference_mode()
def test_a_reference_modulates_and_the_image_is_its_own() -> None:
    backbone = _awake("ref-vae", sampled=False)
    assert isinstance(backbone, ref_vae.RefVAEBackbone)
    assert not backbone.stochastic
    image = _image(8, 8)
    enlarged = torch.nn.functional.interpolate(
        image, scale_factor=2, mode="bicubic", antialias=True
    )
    alone = backbone(image, scale=2)
    torch.testing.assert_close(backbone.with_reference(image, enlarged, scale=2), alone)
    other = backbone.with_reference(image, enlarged.flip(-1), scale=2)
    assert not torch.allclose(other, alone)
    with pytest.raises(ReferenceImageError, match=r"8 x 8 pixels: pass one of 16 x 16"):
        backbone.with_reference(image, image, scale=2)


@torch.inference_mode()
def test_a_vector_code_takes_references_of_any_size_and_is_not_local() -> None:
    changes: dict[str, Any] = {**TINY["ref-vae"], "latent": "vector", "sampled": False}
    settings = SYSTEMS["ref-vae"].with_changes("small", changes)
    assert isinstance(settings, ref_vae.RefVAESettings)
    backbone = ref_vae.backbone(ref_vae.build(settings), settings)
    assert backbone.halo is None
    fine = backbone.with_reference(torch.rand(1, 3, 8, 8), torch.rand(1, 3, 40, 24), scale=2)
    assert fine.shape == (1, 3, 16, 16)


@torch.inference_mode()
def test_lar_sr_draws_whole_codes_around_its_super_resolver() -> None:
    """With the decoder silenced nothing is added, and the frozen image is what remains."""
    backbone = _awake("lar-sr")
    image = _image(8, 8)
    with torch.no_grad():
        for parameter in backbone.net.decoder.head.parameters():
            parameter.zero_()
    torch.testing.assert_close(backbone(image, scale=2), backbone.net.super_resolve(image, 2))


@pytest.mark.parametrize(
    "module", [esrgan_dp, le_gan, ref_vae, lar_sr], ids=lambda module: module.SYSTEM.kind
)
def test_fresh_small_networks_are_close_to_the_enlargement(module: Any) -> None:
    build: Callable[[Any], nn.Module] = module.build
    torch.manual_seed(0)
    backbone = module.backbone(build(module.SMALL), module.SMALL)
    image = _image(16, 16).float()
    enlarged = torch.nn.functional.interpolate(
        image, scale_factor=2, mode="bicubic", antialias=True
    )
    with torch.inference_mode():
        assert (backbone(image, scale=2) - enlarged).abs().max() < 0.05
