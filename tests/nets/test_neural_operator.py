from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.nets.conftest import shaken
from ultrares.nets.neural_operator import (
    SUMMED_PLACES,
    GalerkinBlock,
    HeadNorm,
    NeuralOperator,
    OperatorSize,
    Queries,
    bilinear,
    normalised,
)

CONTEXT = torch.zeros(1, 2)


def places(size: int, scale: float) -> Tensor:
    return (torch.arange(size, dtype=torch.float64) + 0.5) / scale


def queries(rows: int, cols: int, scale: float) -> Queries:
    return Queries(places(rows, scale), places(cols, scale), (1 / scale, 1 / scale))


@pytest.fixture
def operator() -> NeuralOperator:
    torch.manual_seed(0)
    net = NeuralOperator(OperatorSize(features=8, blocks=1, width=16, heads=4)).eval()
    nn.init.normal_(net.last.weight, std=0.1)
    return net.requires_grad_(requires_grad=False)


def test_the_paper_s_size() -> None:
    count = sum(p.numel() for p in NeuralOperator(OperatorSize()).parameters())
    assert count == pytest.approx(2.02e6, rel=0.1)


def test_bilinear_interpolation_is_torch_s() -> None:
    image = torch.rand(2, 3, 7, 9, generator=torch.Generator().manual_seed(1))
    expected = F.interpolate(image, size=(21, 27), mode="bilinear", align_corners=False)
    torch.testing.assert_close(bilinear(image, queries(21, 27, 3)), expected, atol=1e-6, rtol=0)


def layer_norm_of_heads(norm: HeadNorm, values: torch.Tensor) -> torch.Tensor:
    """Torch's layer normalisation of heads (B, N, h, d), each with weights of its own."""
    weight, bias = (part.view(values.shape[2:]) for part in (norm.weight, norm.bias))
    return F.layer_norm(values, values.shape[3:]) * weight + bias


def test_normalised_channels_are_those_of_layer_norm() -> None:
    values = torch.randn(2, 5, 4, 6)
    values[0, 0] = 0.25
    centred = values - values.mean(dim=-1, keepdim=True)
    torch.testing.assert_close(
        normalised(centred.mT).mT, F.layer_norm(values, values.shape[3:]), atol=1e-5, rtol=0
    )


@pytest.mark.parametrize("count", [10, SUMMED_PLACES + 10])
def test_a_block_is_its_formula(count: int) -> None:
    """q (K^T V) / N head by head, added to v, a pointwise network, and v again."""
    torch.manual_seed(2)
    block, values = shaken(GalerkinBlock(12, 3), 0.5).float(), torch.randn(2, count, 12)
    integral = block.products(values) / count
    q = block.query(values).view(2, count, 3, 4)
    k, v = block.key_value(values).chunk(2, dim=-1)
    k, v = (
        layer_norm_of_heads(norm, part.view(2, count, 3, 4))
        for norm, part in ((block.key_norm, k), (block.value_norm, v))
    )
    z = torch.stack([q[:, :, h] @ (k[:, :, h].mT @ v[:, :, h]) / count for h in range(3)], dim=2)
    expected = block.second(F.gelu(block.first(z.flatten(2) + values))) + values
    torch.testing.assert_close(block(values, integral), expected, atol=1e-5, rtol=1e-5)


def test_at_pixel_centres_only_the_pixel_itself_is_lifted(operator: NeuralOperator) -> None:
    features = torch.rand(1, 8, 5, 6)
    at = Queries(places(5, 1), places(6, 1), (1.0, 1.0))
    seen = []
    operator.lifting.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    operator.lift(features, at)
    (stacked,) = seen
    torch.testing.assert_close(stacked[0, :, :, 8:16], features[0].permute(1, 2, 0))
    assert not stacked[0, :, :, 16:40].any()


def test_a_tile_given_the_integrals_of_the_whole_is_cut_from_it(operator: NeuralOperator) -> None:
    image, whole = torch.rand(1, 3, 12, 14), queries(40, 46, 3.3)
    values = operator.lift(operator.encode(image, CONTEXT), whole)
    integrals = operator.integrals(values)
    tile = Queries(whole.rows[9:31], whole.cols[5:33], whole.pitch)
    torch.testing.assert_close(
        operator(image, tile, CONTEXT, integrals),
        operator(image, whole, CONTEXT)[:, :, 9:31, 5:33],
        atol=1e-6,
        rtol=0,
    )


def test_integrals_add_up_over_tiles(operator: NeuralOperator) -> None:
    image, whole = torch.rand(1, 3, 12, 14), queries(40, 46, 3.3)
    features = operator.encode(image, CONTEXT)
    parts = [
        Queries(whole.rows[rows], whole.cols, whole.pitch)
        for rows in (slice(0, 17), slice(17, 29), slice(29, 40))
    ]
    found: list[Tensor] = []
    for _ in operator.layers:
        total = sum(operator.products(operator.lift(features, part), found) for part in parts)
        assert isinstance(total, Tensor)
        found.append(total / (40 * 46))
    for ours, theirs in zip(found, operator.integrals(operator.lift(features, whole)), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


def test_denser_places_give_the_same_integral(operator: NeuralOperator) -> None:
    """The sum is a quadrature: its value does not depend on how many places there are."""
    nn.init.zeros_(operator.lifting.weight[:, -2:])
    image = F.interpolate(torch.rand(1, 3, 4, 4), size=(24, 24), mode="bicubic").clamp(0, 1)
    features = operator.encode(image, CONTEXT)
    coarse, fine = (
        operator.integrals(operator.lift(features, queries(round(24 * s), round(24 * s), s)))[0]
        for s in (4.0, 8.0)
    )
    assert (coarse - fine).abs().max() < 0.02 * coarse.abs().max()


def test_beyond_the_largest_scale_the_cell_stays(operator: NeuralOperator) -> None:
    image = torch.rand(1, 3, 8, 8)
    at = places(8, 8)
    far, edge = (operator(image, Queries(at, at, (p, p)), CONTEXT) for p in (1 / 10, 1 / 8))
    near = operator(image, Queries(at, at, (1 / 4, 1 / 4)), CONTEXT)
    torch.testing.assert_close(far, edge)
    assert (near - edge).abs().max() > 1e-4
