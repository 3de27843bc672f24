from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch

from tests.shared_data import FOLDER, needs_shared_data
from ultrares.metrics.fidelity import psnr
from ultrares.sensor.models import Bicubic

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
Peer = Callable[[str], Any]


@pytest.fixture
def peer(monkeypatch: pytest.MonkeyPatch) -> Peer:
    """Import a module of the benchmarks, which are scripts and no package."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return lambda name: import_module(f"peers.{name}")


def test_ncnn_reads_halves_with_padding_and_floats(peer: Peer, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    first = rng.normal(size=(3, 1, 3, 3)).astype(np.float16)  # 27 halves: two bytes of padding
    second = rng.normal(size=(2, 3, 1, 1)).astype(np.float32)
    bias = rng.normal(size=3).astype(np.float32)
    param = tmp_path / "net.param"
    param.write_text(
        "7767517\n3 3\nInput in 0 1 data\n"
        "Convolution one 1 1 data a 0=3 1=3 4=1 5=1 6=27 9=2 -23310=1,2.0e-01\n"
        "Convolution two 1 1 a out 0=2 1=1 6=6\n"
    )
    binary = tmp_path / "net.bin"
    half, full = (0x01306B47).to_bytes(4, "little"), bytes(4)
    content = half + first.tobytes() + bytes(2) + bias.tobytes() + full + second.tobytes()
    binary.write_bytes(content)
    one, two = peer("ncnn").convolutions(param, binary)
    assert (one.name, two.name) == ("one", "two")
    assert np.array_equal(one.weight, first.astype(np.float32))
    assert np.array_equal(one.bias, bias)
    assert np.array_equal(two.weight, second)
    assert np.array_equal(two.bias, [0, 0])
    binary.write_bytes(content + bytes(4))
    with pytest.raises(ValueError, match="accounts for"):
        peer("ncnn").convolutions(param, binary)


def test_steps_multiply_to_the_scale(peer: Peer) -> None:
    factors = peer("steps").factors
    assert factors(8, (2, 3, 4)) == [4, 2]
    assert factors(16, (4,)) == [4, 4]
    assert factors(32, (4,)) == [4, 4, 2]
    with pytest.raises(peer("missing").MissingPeerError, match="x7"):
        factors(7, (2, 3, 4))


def test_a_net_without_two_takes_four_and_halves(peer: Peer) -> None:
    coarse = np.random.default_rng(1).integers(0, 256, size=(3, 4, 5)).astype(np.uint8)
    asked = []

    def nearest(image: torch.Tensor, factor: int) -> torch.Tensor:
        asked.append(factor)
        return image.repeat_interleave(factor, -1).repeat_interleave(factor, -2)

    fine = peer("steps").enlarge(coarse, 8, nearest, (4,))
    assert asked == [4, 4]
    assert np.array_equal(fine, coarse.repeat(8, axis=1).repeat(8, axis=2))


def test_the_gain_is_the_least_squares_one(peer: Peer) -> None:
    rng = np.random.default_rng(2)
    added = rng.normal(size=(4, 3, 6, 6))
    lacking = 0.3 * added + rng.normal(size=added.shape)
    expected = np.linalg.lstsq(added.reshape(-1, 1), lacking.ravel())[0][0]
    pairs = zip(lacking, added, strict=True)
    assert peer("injection").best_gain(pairs) == pytest.approx(expected)


@needs_shared_data
@pytest.mark.parametrize(("scale", "gain"), [(2, 3.0), (3, 1.5), (4, 1.5)])
def test_carn_with_its_weights_is_far_better_than_bicubic(
    peer: Peer, scale: int, gain: float
) -> None:
    """A wrong layer order or activation would fit the shapes, but not the picture."""
    carn, steps, kernels = peer("carn_m"), peer("steps"), peer("interpolation")
    net = carn.load(FOLDER / "peers/carn_m.pth")
    with rasterio.open(FOLDER / "naip/val/chico_2020_4.tif") as raster:
        truth = raster.read([1, 2, 3])[:, :192, :192]
    reduced = Bicubic().degrade(torch.from_numpy(truth)[None].float(), scale)[0]
    coarse = reduced.round().clamp(0, 255).byte().numpy()
    fine = steps.enlarge(coarse, scale, net.enlarge, carn.NATIVE)
    assert psnr(fine, truth) > psnr(kernels.bicubic(coarse, scale), truth) + gain
