"""The sizes that recipes promise."""

from __future__ import annotations

import pytest

from ultrares.methods.manifest import BackboneConfig, DenoiserConfig, DetailsConfig, PyramidConfig
from ultrares.methods.saved import build_backbone, build_denoiser, build_details, build_pyramid
from ultrares.training.recipe import find_recipe, read_recipe

PAPER = 29.12e6
"""Table 5 of arXiv 2412.18996, Proposed-1 and Proposed-2."""


def parameters(name: str) -> int:
    recipe = read_recipe(find_recipe(name))
    assert recipe.restoration is not None
    sizes, backbone, denoiser = recipe.restoration.net, recipe.backbone.net, recipe.denoiser.net
    before, inner, after = denoiser.blocks
    nets = (
        build_backbone(
            BackboneConfig(kind="wavelet-residual", width=backbone.width, blocks=backbone.blocks[0])
        ),
        build_pyramid(PyramidConfig(width=sizes.width, heads=sizes.heads, blocks=sizes.blocks)),
        build_details(DetailsConfig(width=sizes.detail_width, heads=sizes.detail_heads)),
        build_denoiser(
            DenoiserConfig(width=denoiser.width, blocks=(before, inner, after), stds=(1, 1, 1, 1))
        ),
    )
    return sum(p.numel() for net in nets if net for p in net.parameters())


def test_the_paper_s_size_is_met() -> None:
    assert parameters("csp-wavediffur-paper") == pytest.approx(PAPER, rel=0.1)


def test_the_default_fits_into_the_package() -> None:
    assert 2 * parameters("csp-wavediffur-naip") < 16e6, "bytes in half precision"
