"""The diffusion systems: sizes of the papers, samplers on data with closed forms, tiles that agree."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.diffusion.conftest import Gaussian
from ultrares.backbones import ediffsr, ir_sde, lwtdm, sr3
from ultrares.backbones.diffusion_backbone import DiffusionBackbone
from ultrares.backbones.noise import noise_at
from ultrares.backbones.system import System, SystemSettings
from ultrares.diffusion import EPS, VP
from ultrares.diffusion.denoiser import Network
from ultrares.errors import ModelError
from ultrares.methods.manifest import BackboneConfig, Manifest
from ultrares.methods.saved import load_model, save_model
from ultrares.types import Origin

SYSTEMS = {
    system.kind: system for system in (sr3.SYSTEM, ir_sde.SYSTEM, ediffsr.SYSTEM, lwtdm.SYSTEM)
}
COUNTS = {"sr3": 97.8e6, "ir-sde": 137.1e6, "ediffsr": 20.4e6, "lwtdm": 11.6e6}
"""Parameters of the published networks."""

TINY: dict[str, dict[str, Any]] = {
    "sr3": {"width": 8, "multipliers": (1, 1), "steps": 2},
    "ir-sde": {"width": 8, "depth": 2, "steps": 2},
    "ediffsr": {"width": 8, "down": (1, 1), "middle": 1, "up": (1, 1), "steps": 2},
    "lwtdm": {"width": 4, "steps": 1},
}


def tiny(kind: str, **changes: Any) -> tuple[System, SystemSettings, DiffusionBackbone]:
    system = SYSTEMS[kind]
    settings = system.with_changes("small", {**TINY[kind], **changes})
    net = system.build(settings)
    generator = torch.Generator().manual_seed(3)
    for parameter in net.parameters():
        # Halved precision must not change what is saved.
        nn.init.normal_(parameter, std=0.1, generator=generator).data = parameter.half().float()
    made = system.backbone(net.eval().requires_grad_(requires_grad=False), settings, name=kind)
    assert isinstance(made, DiffusionBackbone)
    return system, settings, made


@pytest.mark.parametrize("kind", SYSTEMS)
def test_presets_have_their_sizes(kind: str) -> None:
    system = SYSTEMS[kind]
    assert system.parameters(system.presets["paper"]) == pytest.approx(COUNTS[kind], rel=0.01)
    assert system.parameters(system.presets["small"]) <= 2e6
    settings = system.presets["small"]
    with torch.device("meta"):
        small = system.backbone(system.build(settings), settings, name=kind)
        paper = system.backbone(
            system.build(system.presets["paper"]), system.presets["paper"], name=kind
        )
    assert small.halo is not None, "tiles of the small one agree"
    assert paper.halo is None, "that of the paper looks at whole images"
    assert small.scales == (2, 4)


ENLARGED = 0.55
"""The value of the constant image that the oracle is shown."""


class Oracle(DiffusionBackbone):
    """A backbone whose network knows that the finer pixels are N(mean, std^2), whatever it is shown."""

    mean, std = 0.6, 0.05

    def bind(self, image: Tensor, enlarged: Tensor, scale: int) -> Network:
        del image, scale
        settings, sde = self.settings, self.settings.process(enlarged)
        centre = settings.encode(torch.full_like(enlarged, self.mean), enlarged, settings.scales[0])
        spread = self.std / unit_of(settings)

        def predict(noisy: Tensor, times: Tensor) -> Tensor:
            time = float(times[0])
            signal, noise = float(sde.signal(time)), float(sde.noise(time))
            gain = signal * spread**2 / (signal**2 * spread**2 + noise**2)
            clean = centre + gain * (noisy - sde.mean(centre, time))
            left = (noisy - sde.mean(clean, time)) / noise
            levels = torch.tensor(signal), torch.tensor(noise / sde.lam)
            return settings.prediction.target((clean - sde.mu) / sde.lam, left, *levels)

        return predict


def unit_of(settings: Any) -> float:
    """How much of an image a state of 1 is."""
    zero, scale = torch.zeros(()), settings.scales[0]
    return float(settings.decode(zero + 1, zero, scale) - settings.decode(zero, zero, scale))


def draw(settings: Any) -> Tensor:
    """Many pixels of a constant image, by the system's own process, schedule and sampler."""
    oracle = Oracle(nn.Identity(), settings, name="oracle")
    oracle.net.multiple_of, oracle.net.local = 1, True
    generator = torch.Generator().manual_seed(8)
    side = 96 // settings.scales[0]

    def noise(step: int, bands: int, factor: int) -> Tensor:
        del step
        return torch.randn(1, bands, side * factor, side * factor, generator=generator)

    image = torch.full((1, 1, side, side), ENLARGED)
    return oracle(image, scale=settings.scales[0], noise=noise)


def expected(settings: Any) -> tuple[float, float]:
    """The exact law of the settings' sampler on that data; its discretisation is part of it."""
    enlarged = torch.tensor(ENLARGED, dtype=torch.float64)
    centre = float(
        settings.encode(
            torch.tensor(Oracle.mean, dtype=torch.float64), enlarged, settings.scales[0]
        )
    )
    unit = unit_of(settings)
    data = Gaussian(settings.process(enlarged), centre, Oracle.std / unit)
    mean, std = data.law(settings.solver, settings.times(data.sde))
    return float(settings.decode(torch.tensor(mean), enlarged, settings.scales[0])), std * unit


PAPERS: dict[str, tuple[Any, float]] = {
    "SR3, 2000 ancestral steps": (sr3.PAPER, 0.02),
    "LWTDM, 2000 steps of DDIM": (lwtdm.PAPER.model_copy(update={"steps": 2000}), 0.05),
    "IR-SDE, posterior": (ir_sde.PAPER, 0.06),
    "IR-SDE, Euler-Maruyama": (
        ir_sde.PAPER.model_copy(update={"sampler": "euler-maruyama"}),
        0.06,
    ),
    "EDiffSR": (ediffsr.PAPER, 0.08),
}
"""Settings, and how far their number of steps may be from the data's standard deviation, relatively."""


@pytest.mark.parametrize("name", PAPERS)
@torch.inference_mode()
def test_a_gaussian_is_drawn_with_its_mean_and_variance(name: str) -> None:
    settings, bias = PAPERS[name]
    pixels = draw(settings)
    mean, std = expected(settings)
    count = pixels.numel()
    assert pixels.mean().item() == pytest.approx(mean, abs=4 * std / count**0.5)
    assert pixels.std().item() == pytest.approx(std, rel=4 / (2 * count) ** 0.5)
    assert mean == pytest.approx(Oracle.mean, abs=0.005)
    assert std == pytest.approx(Oracle.std, rel=bias)


@pytest.mark.parametrize("settings", [sr3.SMALL, lwtdm.SMALL, ir_sde.SMALL, ediffsr.SMALL])
@pytest.mark.parametrize("std", [0.02, 0.035])
@torch.inference_mode()
def test_few_steps_keep_the_variance_of_residuals(
    settings: Any, std: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Residuals of the spread that they were scaled for, or half of it, around the enlargement."""
    monkeypatch.setattr(Oracle, "mean", ENLARGED)
    monkeypatch.setattr(Oracle, "std", std)
    pixels = draw(settings)
    assert pixels.mean().item() == pytest.approx(ENLARGED, abs=4 * std / pixels.numel() ** 0.5)
    assert pixels.std().item() == pytest.approx(std, rel=0.08)


def test_the_papers_processes_have_their_published_levels() -> None:
    enlarged = torch.zeros(())
    process = sr3.PAPER.process(enlarged)
    betas = torch.linspace(1e-6, 1e-2, 2000, dtype=torch.float64)
    assert isinstance(process, VP)
    assert float(process.signal(2000.0)) ** 2 == pytest.approx(float((1 - betas).prod()))
    assert float(process.signal(2000.0)) ** 2 == pytest.approx(4.4e-5, rel=0.02)
    for settings, lam in ((ir_sde.PAPER, 30 / 255), (ediffsr.PAPER, 50 / 255)):
        sde = settings.process(enlarged)
        left = [float(sde.signal(float(t))) for t in (1, 25, 50, 75, 100)]
        assert left == pytest.approx([0.9998, 0.853, 0.361, 0.059, 0.005], rel=0.02)
        assert float(sde.noise(100.0)) == pytest.approx(lam, rel=1e-3)
    assert sr3.PAPER.prediction is ir_sde.PAPER.prediction is EPS


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("kind", SYSTEMS)
@torch.inference_mode()
def test_a_tile_is_cut_from_the_whole(kind: str, scale: int) -> None:
    backbone = tiny(kind)[2]
    halo, multiple = backbone.halo, backbone.size_rule.multiple_of
    assert halo is not None
    margin = -(-halo // multiple) * multiple
    image = torch.rand(1, 3, 16, 2 * margin + 40, generator=torch.Generator().manual_seed(1))
    whole = backbone(image, scale=scale, noise=noise_at(image, seed=4, origin=Origin(8, 16)))
    start = 8
    part = image[..., start : start + 2 * margin + 8]
    noise = noise_at(part, seed=4, origin=Origin(8, 16 + start))
    tile = backbone(part, scale=scale, noise=noise)
    inner = tile[..., margin * scale : (margin + 8) * scale]
    at = (start + margin) * scale
    torch.testing.assert_close(inner, whole[..., at : at + 8 * scale], atol=2e-5, rtol=0)


@pytest.mark.parametrize("kind", SYSTEMS)
@torch.inference_mode()
def test_noise_decides_and_a_batch_does_not_mix(kind: str) -> None:
    backbone = tiny(kind)[2]
    image = torch.rand(2, 3, 16, 24, generator=torch.Generator().manual_seed(2))
    both = backbone(image)
    assert torch.equal(both, backbone(image))
    torch.testing.assert_close(backbone(image[1:]), both[1:], atol=1e-5, rtol=0)
    other = backbone(image, noise=noise_at(image, seed=1, origin=Origin(0, 0)))
    assert not torch.isclose(both, other, atol=1e-4).all()
    assert both.shape == (2, 3, 32, 48)


@pytest.mark.parametrize("kind", SYSTEMS)
@torch.inference_mode()
def test_saved_is_as_before(kind: str, tmp_path: Path) -> None:
    _, settings, backbone = tiny(kind)
    config = BackboneConfig(kind=kind, settings=settings)
    manifest = Manifest(name="mine", backbone=config, licence="none", trained_on="nothing")
    save_model(tmp_path, manifest, [{"backbone": backbone.net}], card="")
    saved = load_model(tmp_path, autocast=False)
    (solver,) = saved.solvers
    assert saved.manifest.backbone.settings == settings
    assert (solver.backbone.name, solver.scale, solver.draws) == ("mine", 2, True)
    image = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(solver.backbone(image), backbone(image), atol=1e-5, rtol=0)


OTHERS: dict[str, Any] = {
    "steps": 1,
    "clock": 50,
    "predicts": "noise",
    "sigmas": [4.0, 0.1],
    "betas": [1e-6, 2e-2],
    "eta": 0.25,
    "residual": [0.01, 0.02],
    "lam": 0.5,
    "eps": 0.01,
    "sampler": "other",
}
"""Another value for everything that decides what the weights of a diffusion system mean."""


@pytest.mark.parametrize("kind", SYSTEMS)
def test_weights_remember_their_process_and_refuse_another(kind: str, tmp_path: Path) -> None:
    _, settings, backbone = tiny(kind, steps=2)
    config = BackboneConfig(kind=kind, settings=settings)
    manifest = Manifest(name="mine", backbone=config, licence="none", trained_on="nothing")
    save_model(tmp_path, manifest, [{"backbone": backbone.net}], card="")
    path = tmp_path / "config.json"
    saved = json.loads(path.read_text())
    told = saved["backbone"]["settings"]
    assert {"mean", "steps", "clock", "predicts", "sigmas", "sampler"} <= told.keys()
    assert told.keys() >= ({"betas", "eta", "residual"} if "betas" in told else {"lam", "eps"})
    samplers = {"other": "ddim" if "betas" in told else "posterior"}
    for name in OTHERS.keys() & told.keys():
        other = samplers.get(str(OTHERS[name]), OTHERS[name])
        changed = {**saved["backbone"], "settings": {**told, name: other}}
        path.write_text(json.dumps({**saved, "backbone": changed}))
        with pytest.raises(ModelError, match=rf"settings\.{name} is .*were trained with"):
            load_model(tmp_path, autocast=False)
    # There is one way to interpolate the mean, and any other is no setting at all.
    changed = {**saved["backbone"], "settings": {**told, "mean": "nearest"}}
    path.write_text(json.dumps({**saved, "backbone": changed}))
    with pytest.raises(ModelError, match=r"backbone\.settings.*mean"):
        load_model(tmp_path, autocast=False)


def test_a_network_of_whole_images_warns(tmp_path: Path) -> None:
    system = SYSTEMS["sr3"]
    settings = system.with_changes(
        "paper", {"width": 8, "multipliers": (1, 1), "blocks": 1, "steps": 2}
    )
    manifest = Manifest(
        name="whole",
        backbone=BackboneConfig(kind="sr3", settings=settings),
        licence="none",
        trained_on="nothing",
    )
    save_model(tmp_path, manifest, [{"backbone": system.build(settings)}], card="")
    with pytest.warns(UserWarning, match="'whole' looks at whole images"):
        (solver,) = load_model(tmp_path, autocast=False).solvers
    assert solver.backbone.halo is None
    assert solver.halo > 0
    assert solver.scale == 4


def test_what_a_system_cannot_do_is_said() -> None:
    backbone = tiny("lwtdm")[2]
    with pytest.raises(ModelError, match="'lwtdm' enlarges by x2, x4 and not by x3"):
        backbone(torch.zeros(1, 3, 16, 16), scale=3)
    with pytest.raises(ModelError, match="multiples of 4, not 16 x 18"):
        backbone(torch.zeros(1, 3, 16, 18))


@pytest.mark.parametrize("preset", ["small", "paper"])
@pytest.mark.parametrize("kind", SYSTEMS)
def test_the_loss_of_one_batch_falls(kind: str, preset: Any) -> None:
    from ultrares.data.scale_pairs import ScalePair
    from ultrares.sensor.models import Box
    from ultrares.training.diffusion_systems import diffusion_loss

    system = SYSTEMS[kind]
    changes: dict[str, Any] = {**TINY[kind], "scales": (2,), "steps": 2}
    if preset == "small" and kind in ("sr3", "lwtdm"):
        changes["residual"] = (0.04,)
    torch.manual_seed(0)
    settings = system.with_changes(preset, changes)
    net = system.build(settings)
    target = torch.rand(2, 3, 16, 16).cumsum(-1) / 16
    pair = ScalePair(torch.nn.functional.avg_pool2d(target, 2), target, Box(), 2)
    backbone = system.backbone(net, settings, name=kind)
    assert isinstance(backbone, DiffusionBackbone)
    adam = torch.optim.Adam(net.parameters(), lr=3e-3)
    losses = []
    for _ in range(25):
        adam.zero_grad()
        loss = diffusion_loss(backbone, pair, np.random.default_rng(0))
        loss.backward()  # type: ignore[no-untyped-call]
        adam.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]
