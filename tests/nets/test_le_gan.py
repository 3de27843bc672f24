"""Short-range attention is the attention it says, over the neighbours it says."""

from __future__ import annotations

import torch

from tests.nets.conftest import shaken
from ultrares.nets.le_gan import LEGANNet, ShortRangeAttention


def test_a_pixel_attends_to_its_neighbours_by_the_formula() -> None:
    layer = shaken(ShortRangeAttention(4, heads=2, window=3), std=0.7)
    generator = torch.Generator().manual_seed(0)
    features = torch.rand(1, 4, 5, 5, dtype=torch.float64, generator=generator)
    normal = layer.norm(features)
    query, (key, value) = layer.query(normal), layer.key_value(normal).chunk(2, dim=1)
    mixed = torch.zeros(4, dtype=torch.float64)
    for head in range(2):
        of = slice(2 * head, 2 * head + 2)
        near = [(y, x) for y in (1, 2, 3) for x in (1, 2, 3)]
        likeness = torch.stack([query[0, of, 2, 2] @ key[0, of, y, x] / 2**0.5 for y, x in near])
        share = (likeness + layer.position[head]).softmax(dim=0)
        mixed[of] = sum(s * value[0, of, y, x] for s, (y, x) in zip(share, near, strict=True))
    padded = torch.nn.functional.pad(normal[0, :, 2, 2], (2, 2))
    weight = layer.gate.weight[0, 0]
    assert layer.gate.bias is not None
    assert layer.out.bias is not None
    gate = torch.stack([weight @ padded[c : c + 5] for c in range(4)]) + layer.gate.bias
    out = layer.out.weight[:, :, 0, 0] @ mixed + layer.out.bias
    expected = features[0, :, 2, 2] + out * gate.sigmoid()
    torch.testing.assert_close(layer(features)[0, :, 2, 2], expected)


def test_it_sees_exactly_its_reach() -> None:
    net = shaken(LEGANNet(scales=(2, 4), width=8, blocks=2, heads=2, window=5), std=0.3)
    image = torch.rand(1, 3, 3, 41, dtype=torch.float64, requires_grad=True)
    net(image, 4)[..., 80:84].sum().backward()
    assert image.grad is not None
    columns = image.grad.abs().sum(dim=(0, 1, 2)).nonzero().flatten()
    assert (20 - int(columns[0]), int(columns[-1]) - 20) == (net.reach(4), net.reach(4)) == (11, 11)
