"""Another processor's pixels differ by its rounding, as far as docs/large-scenes.md says and no further."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch

from tests.scene.conftest import Writer

LARGEST = {"fp32": 1, "bf16": 3}
"""Digital numbers by which devices may differ."""

# torch and oneDNN leave the instructions alone that these do not name.
PLAIN = {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41"}

SIDE = 24

CASES: tuple[list[str], ...] = (
    [],
    ["--mode", "perceptual", "--seed", "3"],
    ["--model", "neurop-diff-naip"],
)


@pytest.fixture
def scene(raster: Writer) -> Path:
    olinda = Path(__file__).parents[1] / "examples" / "data" / "olinda.tif"
    with rasterio.open(olinda) as sample:
        pixels = sample.read([3, 2, 1])[:, 40 : 40 + SIDE, 40 : 40 + SIDE]
    return raster(pixels)


def pixels_of(path: Path) -> np.ndarray:
    with rasterio.open(path) as raster:
        return raster.read().astype(int)


def upscaled(scene: Path, name: str, options: list[str], changes: dict[str, str]) -> np.ndarray:
    target = scene.with_name(name)
    said = subprocess.run(
        [sys.executable, "-m", "ultrares", "upscale", str(scene), str(target), *options],
        env=os.environ | changes,
        check=False,
        capture_output=True,
        text=True,
    )
    assert said.returncode == 0, said.stderr
    return pixels_of(target)


@pytest.fixture(scope="module")
def plain() -> dict[str, str]:
    """What leaves torch without instructions that it has here."""
    ask = "import torch; print(torch.backends.cpu.get_cpu_capability())"
    told = subprocess.run(
        [sys.executable, "-c", ask],
        env=os.environ | PLAIN,
        check=True,
        capture_output=True,
        text=True,
    )
    if told.stdout.strip() == torch.backends.cpu.get_cpu_capability():
        pytest.skip("this processor, or this torch, has no other instructions to do without")
    return PLAIN


@pytest.mark.parametrize("precision", LARGEST)
@pytest.mark.parametrize("case", CASES, ids=lambda case: " ".join(case) or "fidelity")
def test_fewer_instructions_change_no_more_than_the_rounding(
    scene: Path, case: list[str], precision: str, plain: dict[str, str]
) -> None:
    options = ["--scale", "4", "--device", "cpu", "--precision", precision, *case]
    here, there = (upscaled(scene, f"{len(how)}.tif", options, how) for how in ({}, plain))
    apart = np.abs(here - there)
    for pixels in (here, there):
        means = pixels.reshape(3, SIDE, 4, SIDE, 4).mean(axis=(2, 4))
        assert np.array_equal(means, pixels_of(scene))
    if precision == "bf16":
        assert apart.any(), "nothing was computed otherwise"
    assert apart.max() <= LARGEST[precision]
    if precision == "fp32":
        assert (apart > 0).mean() < 0.001


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.parametrize("precision", LARGEST)
@pytest.mark.parametrize("case", CASES, ids=lambda case: " ".join(case) or "fidelity")
def test_a_gpu_changes_no_more_than_the_rounding(
    scene: Path, case: list[str], precision: str
) -> None:
    options = ["--scale", "4", "--precision", precision, *case]
    here = upscaled(scene, "a.tif", [*options, "--device", "cpu"], {})
    there = upscaled(scene, "b.tif", [*options, "--device", "cuda"], {})
    apart = np.abs(here - there)
    assert apart.max() <= LARGEST[precision]
    if precision == "fp32":
        assert (apart > 0).mean() < 0.001
