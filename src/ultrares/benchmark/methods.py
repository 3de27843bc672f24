"""From a row of a plan to something that solves cases."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError

import numpy as np
import torch

from ultrares.backbones.wrap import Backbone
from ultrares.benchmark.cases import Bytes, Case, as_bytes
from ultrares.benchmark.plan import ModelEntry
from ultrares.catalogue import load_saved, residual_loader
from ultrares.errors import ModelError
from ultrares.methods.place import Place, Solve
from ultrares.methods.saved import SavedModel
from ultrares.methods.saved_operator import SavedOperator
from ultrares.methods.steps import steps_to
from ultrares.methods.weights import CONFIG
from ultrares.model import Model
from ultrares.nets.carn_m import HALO, NATIVE, CarnM
from ultrares.types import Origin

CARN_M = "carn-m"
CARN_M_FILE = Path("peers/carn_m.pth")
"""Where the shared imagery keeps its weights."""

Solver = Callable[[Case], Bytes]


@dataclass(frozen=True)
class Method:
    """One row of a table, ready to be run.

    Attributes:
        solve: Makes a fine image, without looking at the truth but through a reference that leaks it.
        parameters: Number of weights.
        weights: Digest of the weights, or empty.
    """

    solve: Solver
    parameters: int = 0
    weights: str = ""


@dataclass(frozen=True)
class Shelf:
    """Where models are looked for.

    Attributes:
        data: The data folder.
        models: A folder of models, each NAME or NAME/model; then the places that ``ultrares.load`` knows.
    """

    data: Path
    models: Path | None = None

    def load(self, name: str) -> SavedModel | SavedOperator:
        """A model by its name.

        Raises:
            ModelError: There is none, or it is corrupt.
        """
        if name == CARN_M:
            return load_saved(self._carn_m(), precision="auto", device=None)
        return load_saved(self._place(name), precision="auto", device=None)

    def _place(self, name: str) -> str | Path:
        if self.models is not None:
            for folder in (self.models / name, self.models / name / "model"):
                if (folder / CONFIG).is_file():
                    return folder
        return name

    def _carn_m(self) -> Backbone:
        path = self.data / CARN_M_FILE
        if not path.is_file():
            raise ModelError(f"{CARN_M} has no weights here: put its state dict at {path}")
        net = CarnM()
        try:
            net.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        except (OSError, RuntimeError, UnpicklingError, EOFError, TypeError) as error:
            reason = str(error).splitlines()[0]
            raise ModelError(f"{path} holds no weights of {CARN_M}: {reason}") from error
        net.eval()
        return Backbone.wrap(net.enlarge, scales=NATIVE, halo=HALO, name=CARN_M)


def method_of(entry: ModelEntry, shelf: Shelf) -> Method:
    """Load the model of a row.

    Raises:
        ModelError: There is none, it is corrupt, or it cannot play this role.
        OptionError: It has no parts to switch off.
        MissingExtraError: Its format needs a package that is not installed.
    """
    saved = shelf.load(entry.model)
    manifest = saved.manifest
    return Method(
        _solver(entry, saved),
        parameters=manifest.parameters,
        weights=(manifest.sha256 or "")[:12],
    )


def _solver(entry: ModelEntry, saved: SavedModel | SavedOperator) -> Solver:
    if entry.role == "alone":
        if isinstance(saved, SavedOperator):
            raise ModelError(f"{entry.model} has no backbone of its own: give it the role one-step")
        return _alone(saved, entry)
    if isinstance(saved, SavedOperator) and entry.role == "cascade":
        raise ModelError(f"{entry.model} is no cascade: give it the role one-step")
    model = _model(entry, saved)

    def solve(case: Case) -> Bytes:
        reference = case.reference(entry.reference)
        return model.upscale(
            case.coarse,
            scale=case.scale,
            sensor=case.sensor.name,
            mode=entry.mode,
            reference=reference,
        )

    return solve


def _model(entry: ModelEntry, saved: SavedModel | SavedOperator) -> Model:
    if isinstance(saved, SavedOperator):
        return Model(saved)
    once = entry.role == "one-step"
    if entry.parts is not None:
        return Model(saved).with_parts(entry.parts, one_step=once)
    residual = residual_loader(precision="auto", device=None) if entry.residual else None
    # Cascades are compared level by level.
    model = Model(saved, one_step=once, condition=entry.condition, residual=residual)
    return model.without_x4()


def _alone(saved: SavedModel, entry: ModelEntry) -> Solver:
    """The backbone's own steps, one after the other; what is too fine is reduced in the end."""
    solvers = {solver.scale: solver for solver in reversed(saved.solvers)}

    @torch.inference_mode()
    def solve(case: Case) -> Bytes:
        image = torch.from_numpy(case.coarse)[None].float() / 255
        for level, step in enumerate(steps_to(int(np.ceil(case.scale)), solvers)):
            solver = solvers[step]
            place = Place(Origin(0, 0), level, case.sensor.mtf, depth=level)
            how = Solve(mode=entry.mode)
            image = solver.super_resolve(image.to(solver.device), place, how).clamp(0, 1)
        side = case.truth.shape[-1]
        if image.shape[-1] != side:
            size = (side, side)
            image = torch.nn.functional.interpolate(image, size=size, mode="area")
        return as_bytes(255 * image[0].cpu())

    return solve
