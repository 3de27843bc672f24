"""Train the x2 backbone for its place in a cascade, and the x4 backbone that can end one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ultrares.backbones.wavelet_residual import WaveletResidualBackbone
from ultrares.data.pairs import Pair, PairSampler
from ultrares.data.tiles import Tiles
from ultrares.methods.manifest import Role
from ultrares.nets.wavelet_residual import WaveletResidualNet
from ultrares.sensor.backprojection import back_project
from ultrares.sensor.models import Box, SensorModel, parse_sensor
from ultrares.training.execution import Execution
from ultrares.training.losses import image_loss, psnr
from ultrares.training.phases import Objective, fit_in_phases
from ultrares.training.sections import DataSection, LossSection, TilesSection
from ultrares.training.stages import Stage
from ultrares.training.start import start_from, start_with

HEAD = "head."
"""The layer that says the bands, of which there are more at x4."""

NEW_LAYERS = ("trunk.",)
"""What a deeper network than that of ``start_from`` has more: blocks that begin as the identity."""


def pair_sampler(tiles: np.ndarray, settings: DataSection, *, scale: int = 2) -> PairSampler:
    """Build the sampler that a recipe's data section describes."""
    return PairSampler(
        tiles,
        sensors={parse_sensor(name): share for name, share in settings.sensors.items()},
        depths=settings.depths,
        crop=settings.crop,
        batch=settings.batch,
        any_bands=settings.any_bands,
        coarser=settings.coarser if isinstance(settings.coarser, tuple) else (settings.coarser,),
        scale=scale,
    )


def cascade_level(
    backbone: WaveletResidualBackbone,
    image: Tensor,
    original: Tensor,
    sensor: SensorModel,
    depth: int,
) -> Tensor:
    """One level as inference does it: the backbone, then back-projection onto the original."""
    with torch.no_grad():
        fine = backbone(image, mtf=sensor.mtf, depth=depth)
        return back_project(fine.float(), original, sensor, 2 ** (depth + 1), iterations=1)


def enlarged(image: Tensor, scale: int = 2) -> Tensor:
    """The bicubic enlargement that an image (B, C, h, w) is compared by, (B, C, scale * h, scale * w)."""
    return F.interpolate(image, scale_factor=scale, mode="bicubic", antialias=True)


@dataclass(frozen=True, eq=False)
class Enlarging:
    """What a backbone is trained on: pairs whose input stands at any depth of a cascade.

    Attributes:
        sampler: Where pairs come from.
        compared: What an estimate is compared with the truth by.
        autocast: Whether to compute in bfloat16.
        before: Makes the deeper inputs of a x4 network; a x2 network makes its own.
    """

    sampler: PairSampler
    compared: LossSection
    autocast: bool
    before: WaveletResidualNet | None = None

    def loss(self, model: nn.Module, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        """The image loss of one batch."""
        pair, estimate = self._estimated(model, rng)
        plain = enlarged(pair.image, self.sampler.scale)
        gain = psnr(estimate.detach(), pair.target) - psnr(plain, pair.target)
        name = f"dB over bicubic, {pair.sensor.name}, depth {pair.depth}"
        return image_loss(estimate, pair.target, self.compared), {name: gain}

    def preview(self, model: nn.Module, rng: np.random.Generator) -> dict[str, Tensor]:
        """Pictures of one batch."""
        pair, estimate = self._estimated(model, rng)
        plain = enlarged(pair.image, self.sampler.scale)
        return {"input": plain, "estimate": estimate, "truth": pair.target}

    def _estimated(self, model: nn.Module, rng: np.random.Generator) -> tuple[Pair, Tensor]:
        assert isinstance(model, WaveletResidualNet)
        device = model.head.weight.device
        backbone, earlier = (
            WaveletResidualBackbone(net, autocast=self.autocast)
            for net in (model, model if self.before is None else self.before.to(device))
        )

        def level(image: Tensor, original: Tensor, sensor: SensorModel, depth: int) -> Tensor:
            return cascade_level(earlier, image.to(device), original.to(device), sensor, depth)

        pair = self.sampler.draw(rng, level).to(device)
        estimate = backbone(pair.image, mtf=pair.sensor.mtf, depth=pair.depth)
        if isinstance(pair.sensor, Box):
            # The projection that inference ends with: the net need not learn what is known.
            estimate = back_project(estimate, pair.image, pair.sensor, self.sampler.scale)
        return pair, estimate


def _started(stage: Stage, before: WaveletResidualNet | None) -> WaveletResidualNet:
    """The network that training begins with."""
    torch.manual_seed(stage.seed)
    scale = 2 if before is None else 4
    net = WaveletResidualNet(width=stage.net.width, blocks=stage.net.blocks[0], scale=scale)
    if before is None or stage.start_from is not None:
        role: Role = "backbone" if before is None else "backbone_x4"
        start_from(net, role, stage.start_from, fresh=NEW_LAYERS)
        return net
    saved = before.state_dict()
    layers = {key: value for key, value in saved.items() if not key.startswith(HEAD)}
    misfit = start_with(net, layers, fresh=(*NEW_LAYERS, HEAD))
    assert misfit is None, misfit
    return net


def train_backbone(
    stage: Stage,
    tiles_of: Callable[[TilesSection], Tiles],
    *,
    folder: Path,
    autocast: bool,
    execution: Execution | None = None,
    before: WaveletResidualNet | None = None,
) -> WaveletResidualNet:
    """Train the network of a recipe's backbone stage.

    Args:
        stage: Size, imagery, schedule.
        tiles_of: Cuts the tiles of a data section.
        folder: Where checkpoint, log and previews are kept.
        autocast: Whether to compute in bfloat16.
        execution: Where to compute.
        before: The trained x2 network, which makes the deeper inputs of a x4 network, and whose layers it
            starts with if the stage names no model. Without one a x2 network is trained, on deeper inputs of its own.
    """
    net = _started(stage, before)

    def objective_of(phase: Stage) -> Objective:
        sampler = pair_sampler(tiles_of(phase.data).pixels, phase.data, scale=net.scale)
        task = Enlarging(sampler, phase.loss, autocast, before)
        return Objective(task.loss, task.preview)

    return fit_in_phases(net, stage, objective_of, folder=folder, execution=execution)
