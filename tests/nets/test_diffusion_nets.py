"""The networks of the diffusion systems: what they read, and their attention against plain formulas."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ultrares.nets.conditional_naf import ConditionalNAF
from ultrares.nets.embedding import sinusoidal
from ultrares.nets.ir_sde_unet import HEAD_WIDTH, HEADS, IRSDEUNet, LinearAttention
from ultrares.nets.lwtdm_net import CrossAttention, LWTDMNet
from ultrares.nets.span import Span
from ultrares.nets.sr3_unet import SR3UNet

LOCAL: dict[str, Any] = {
    "sr3": lambda: SR3UNet(
        width=8, multipliers=(1, 1, 2), blocks=1, attention=None, groups=0, scales=2
    ),
    "ir-sde": lambda: IRSDEUNet(width=8, depth=2, attention=False, scales=2),
    "ediffsr": lambda: ConditionalNAF(
        width=8, down=(1, 1), middle=1, up=(1, 1), local=True, scales=2
    ),
    "folded sr3": lambda: SR3UNet(
        width=8, multipliers=(1, 1), blocks=1, attention=None, groups=0, scales=2, fold=2
    ),
    "folded ir-sde": lambda: IRSDEUNet(width=8, depth=2, attention=False, scales=2, fold=2),
    "folded ediffsr": lambda: ConditionalNAF(
        width=8, down=(1,), middle=1, up=(1,), local=True, scales=2, fold=2
    ),
    "lwtdm": lambda: LWTDMNet(width=4, groups=0, neighbours=3, scales=2),
}


def lively(net: nn.Module) -> Any:
    """The net with weights that matter everywhere."""
    generator = torch.Generator().manual_seed(3)
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.15, generator=generator)
    return net.double().eval()


def touched(gradient: Tensor) -> Span:
    """First and last column that a gradient is not zero in."""
    columns = gradient.abs().sum((0, 1, 2)).nonzero().flatten()
    return Span(int(columns[0]), int(columns[-1]))


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("kind", LOCAL)
def test_a_span_is_what_the_gradient_reaches(kind: str, scale: int) -> None:
    net = lively(LOCAL[kind]())
    wide, block = 256, 4 * scale
    generator = torch.Generator().manual_seed(4)
    noisy = torch.randn(1, 3, 16, wide, dtype=torch.float64, generator=generator)
    coarse_sides = (16 // scale, wide // scale) if kind == "lwtdm" else (16, wide)
    condition = torch.randn(1, 3, *coarse_sides, dtype=torch.float64, generator=generator)
    if kind == "lwtdm":
        noisy = noisy.repeat(1, 1, scale, 1)
        condition = condition.repeat(1, 1, scale, 1)
    noisy.requires_grad_()
    condition.requires_grad_()
    out = net(noisy, condition, torch.full((1,), 0.5, dtype=torch.float64), scale)
    assert out.shape == noisy.shape
    start = wide // 2
    out[..., start : start + block].square().sum().backward()
    assert noisy.grad is not None
    assert condition.grad is not None
    read = net.reads(Span(0, block - 1))
    assert touched(noisy.grad) == Span(start + read.first, start + read.last)
    if kind == "lwtdm":
        coarse = net.reads_coarse(Span(0, block - 1), scale)
        at = start // scale
        assert touched(condition.grad) == Span(at + coarse.first, at + coarse.last)
    else:
        assert touched(condition.grad) == touched(noisy.grad)


@pytest.mark.parametrize("kind", LOCAL)
def test_time_and_scale_are_heard(kind: str) -> None:
    net = lively(LOCAL[kind]())
    noisy = torch.randn(1, 3, 16, 16, dtype=torch.float64)
    base, later, finer = (
        net(noisy, noisy[..., : 16 // given, : 16 // given], torch.tensor([time]).double(), scale)
        for time, scale, given in (
            (3.0, 2, 2 if kind == "lwtdm" else 1),
            (9.0, 2, 2 if kind == "lwtdm" else 1),
            (3.0, 4, 4 if kind == "lwtdm" else 1),
        )
    )
    assert not torch.allclose(base, later)
    assert not torch.allclose(base, finer)


def test_linear_attention_is_its_formula() -> None:
    """Pixel by pixel: softmax over channels of q, over pixels of k, the value's mean weighted by both."""
    width = HEADS * HEAD_WIDTH
    attention = lively(LinearAttention(width))
    attention.out = nn.Identity()
    features = torch.randn(1, width, 3, 5, dtype=torch.float64)
    channels = attention.query_key_value(attention.norm(features)).flatten(2)[0]
    query, key, value = channels.view(3, HEADS, HEAD_WIDTH, 15)
    expected = torch.zeros(HEADS, HEAD_WIDTH, 15, dtype=torch.float64)
    for head in range(HEADS):
        k = key[head].softmax(dim=1)
        q = query[head].softmax(dim=0) / HEAD_WIDTH**0.5
        for pixel in range(15):
            weights = (q[:, pixel, None] * k).sum(0)
            expected[head, :, pixel] = (value[head] * weights).sum(1) / 15
    result = attention(features) - features
    torch.testing.assert_close(result[0].flatten(1), expected.flatten(0, 1))


def test_neighbour_attention_is_masked_attention() -> None:
    scale, rows, cols = 2, 3, 4
    near, far = CrossAttention(24, 3).double(), CrossAttention(24, None).double()
    far.load_state_dict(near.state_dict())
    query = torch.randn(1, 2, scale * rows, scale * cols, dtype=torch.float64)
    pair = torch.randn(1, 4, rows, cols, dtype=torch.float64)
    found = near._over_neighbours(query, pair, 3, scale)[0]
    key, value = pair[0].view(2, 2, rows, cols)
    # Inner cells have nine neighbours and no padding.
    for y in range(scale, 2 * scale):
        for x in range(scale, 3 * scale):
            cell = slice(y // scale - 1, y // scale + 2), slice(x // scale - 1, x // scale + 2)
            logits = torch.einsum("d,dyx->yx", query[0, :, y, x], key[:, *cell]) / 2**0.5
            weights = logits.flatten().softmax(0).view(3, 3)
            expected = (weights * value[:, *cell]).sum((1, 2))
            torch.testing.assert_close(found[:, y, x], expected)
    whole = far._over_the_image(query, pair)[0, :, 0, 0]
    logits = torch.einsum("d,dyx->yx", query[0, :, 0, 0], key) / 2**0.5
    weights = logits.flatten().softmax(0).view(rows, cols)
    torch.testing.assert_close(whole, (weights * value).sum((1, 2)))


def test_the_embedding_starts_at_the_number_and_ends_at_a_ten_thousandth() -> None:
    told = sinusoidal(torch.tensor([0.3]), 8)[0]
    expected = [0.3 * 1e4 ** (-k / 4) for k in range(4)]
    torch.testing.assert_close(told[:4], torch.tensor(expected).sin())
    torch.testing.assert_close(told[4:], torch.tensor(expected).cos())
