"""The fusion bound to images: cells agree, bands are any, and another place is left as it was."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ultrares.methods.reference_fusion import ReferenceFusion, likeness
from ultrares.nets.spatiotemporal_fusion import SpatiotemporalFusion
from ultrares.sensor.models import Box, parse_sensor
from ultrares.types import AlignedReference, Window


def random_net() -> SpatiotemporalFusion:
    net = SpatiotemporalFusion(width=8)
    generator = torch.Generator().manual_seed(1)
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.05, generator=generator)
    return net.eval().requires_grad_(requires_grad=False)


NET = random_net()


def pair(factor: int, height: int, width: int, bands: int = 3) -> tuple[Tensor, AlignedReference]:
    """A smooth reference with some noise, and a scene that it looks like."""
    generator = torch.Generator().manual_seed(2)
    coarse = torch.rand(1, bands, height, width, generator=generator)
    fine = F.interpolate(coarse, scale_factor=factor, mode="bicubic")
    fine = fine + 0.05 * torch.randn(fine.shape, generator=generator)
    return coarse, AlignedReference(fine, torch.ones_like(fine[:, :1]))


@pytest.mark.parametrize("sensor", ["box", "bicubic", "mtf:0.2"])
@pytest.mark.parametrize("factor", [4, 16])
def test_its_halo_is_all_that_a_core_depends_on(sensor: str, factor: int) -> None:
    """By the gradient, where the reference has holes and is believed in part."""
    fusion = ReferenceFusion(NET, parse_sensor(sensor))
    halo = fusion.halo(factor)
    height, width = 64 // factor, (2 * halo + 192) // factor
    scene, (image, valid) = pair(factor, height, width)
    scene = scene + 0.3 * torch.randn(scene.shape, generator=torch.Generator().manual_seed(4))
    holes = torch.rand(1, 1, height, width, generator=torch.Generator().manual_seed(5)) < 0.1
    valid = 1 - F.interpolate(holes.float(), scale_factor=factor)
    trust = likeness(scene, fusion.sensor.degrade(image, factor))
    assert float(((trust > 0) & (trust < 1)).float().mean()) > 0.1
    scene.requires_grad_()
    image.requires_grad_()
    core = Window(0, halo + 64, 64, 64)
    fused = fusion(scene, AlignedReference(image, valid), factor, core)
    torch.autograd.backward(fused.sum())
    assert scene.grad is not None
    assert image.grad is not None
    for gradient, by in ((scene.grad, factor), (image.grad, 1)):
        seen = by * gradient.abs().sum(dim=(0, 1, 2)).nonzero().flatten()
        first, last = int(seen[0]), int(seen[-1]) + by
        assert core.col - first <= halo
        assert last - (core.col + core.width) <= halo
    # What the halo is made of is nearly all used.
    assert core.col - first >= halo - 5 * factor - 16


def test_a_core_is_a_part_of_all() -> None:
    fusion = ReferenceFusion(NET, Box())
    scene, reference = pair(16, 20, 22)
    whole = fusion(scene, reference, 16)
    part = fusion(scene, reference, 16, Window(128, 112, 64, 96))
    # The network was shown less around it.
    torch.testing.assert_close(part, whole[..., 128:192, 112:208], rtol=0, atol=1e-3)


def test_bands_are_fused_in_threes_and_any_number() -> None:
    fusion = ReferenceFusion(NET, Box())
    scene, reference = pair(16, 12, 12, bands=5)
    whole = fusion(scene, reference, 16)
    assert whole.shape == reference.image.shape
    # The last group is short, and repeats its last band; what tells likeness is the mean of all.
    trust = likeness(scene, Box().degrade(reference.image, 16))
    assert bool((trust == 1).all())
    first = fusion(scene[:, :3], reference._replace(image=reference.image[:, :3]), 16)
    torch.testing.assert_close(whole[:, :3], first, rtol=0, atol=1e-5)


def test_a_reference_of_another_place_stays_as_it_was() -> None:
    fusion = ReferenceFusion(NET, Box())
    scene, reference = pair(16, 20, 20)
    assert (fusion(scene, reference, 16) - reference.image).abs().mean() > 0.01
    other = reference._replace(image=reference.image.flip(-1).roll(48, -2))
    kept = fusion(scene, other, 16) == other.image
    # At corners there is little to tell by.
    assert kept.float().mean() > 0.95


def test_details_are_alike_whatever_their_contrast_and_brightness() -> None:
    scene, _ = pair(4, 20, 20)
    assert bool((likeness(scene, 0.3 * scene + 0.2) == 1).all())
    assert bool((likeness(scene, 1 - scene) == 0).all())
    assert bool((likeness(scene, torch.full_like(scene, 0.5)) == 0).all())
    assert likeness(scene, scene.flip(-1)).mean() < 0.05


def test_what_is_not_valid_does_not_matter() -> None:
    fusion = ReferenceFusion(NET, Box())
    scene, (image, valid) = pair(16, 16, 16)
    valid = valid.clone()
    valid[..., :40, :70] = 0
    spoilt = torch.where(valid > 0, image, torch.full_like(image, 7.0))
    one, other = (fusion(scene, AlignedReference(each, valid), 16) for each in (image, spoilt))
    assert torch.equal(one, other)
    assert bool(one.isfinite().all())


def test_sides_that_are_no_multiples_end_where_they_do() -> None:
    fusion = ReferenceFusion(NET, Box())
    scene, reference = pair(4, 13, 15)
    assert fusion(scene, reference, 4).shape == (1, 3, 52, 60)
