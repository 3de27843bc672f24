"""Codes are the nearest ones, and gradients pass by them."""

from __future__ import annotations

import math

import pytest
import torch

from ultrares.nets.vector_quantiser import VectorQuantiser


def _given() -> tuple[VectorQuantiser, torch.Tensor]:
    torch.manual_seed(0)
    return VectorQuantiser(7, 3), torch.randn(2, 3, 4, 5, requires_grad=True)


def test_codes_are_the_nearest_by_brute_force() -> None:
    quantiser, vectors = _given()
    near, codes, _ = quantiser(vectors)
    for b in range(2):
        for y in range(4):
            for x in range(5):
                distances = (quantiser.codebook - vectors[b, :, y, x]).norm(dim=1)
                assert codes[b, y, x] == distances.argmin()
                torch.testing.assert_close(near[b, :, y, x], quantiser.codebook[codes[b, y, x]])
    assert codes.unique().numel() > 1
    assert torch.equal(quantiser.nearest(quantiser.look_up(codes)), codes)


def test_gradients_pass_straight_through() -> None:
    quantiser, vectors = _given()
    near, _, _ = quantiser(vectors)
    weights = torch.randn(near.shape)
    (near * weights).sum().backward()
    assert vectors.grad is not None
    torch.testing.assert_close(vectors.grad, weights)
    assert quantiser.codebook.grad is None


def test_the_loss_pulls_codes_four_times_as_hard_as_vectors() -> None:
    quantiser, vectors = _given()
    _, codes, loss = quantiser(vectors)
    loss.backward()
    difference = quantiser.look_up(codes).detach() - vectors.detach()
    torch.testing.assert_close(loss.item(), 1.25 * difference.square().mean().item())
    assert vectors.grad is not None
    torch.testing.assert_close(vectors.grad, -0.25 * 2 * difference / difference.numel())
    assert quantiser.codebook.grad is not None
    expected = torch.zeros_like(quantiser.codebook)
    flat = (2 * difference / difference.numel()).permute(0, 2, 3, 1).reshape(-1, 3)
    expected.index_add_(0, codes.flatten(), flat)
    torch.testing.assert_close(quantiser.codebook.grad, expected)


def test_imbalance_is_the_missing_entropy() -> None:
    quantiser = VectorQuantiser(4, 4)
    # Codes so far apart that each vector at a code is that code's alone.
    with torch.no_grad():
        quantiser.codebook.copy_(20 * torch.eye(4))
    even = quantiser.look_up(torch.arange(4).view(1, 2, 2))
    assert quantiser.imbalance(even).item() == pytest.approx(0, abs=1e-5)
    assert quantiser.imbalance(even[..., :1, :1]).item() == pytest.approx(math.log(4))
    half = quantiser.look_up(torch.tensor([[[0, 0], [1, 1]]]))
    assert quantiser.imbalance(half).item() == pytest.approx(math.log(2))
