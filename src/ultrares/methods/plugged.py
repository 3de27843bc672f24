"""Any backbone as a model: Algorithm 1 around it, in fidelity mode, at every scale."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ultrares.errors import ModelError, UltraresError
from ultrares.methods.manifest import BackboneConfig, Manifest
from ultrares.methods.place import Place, Solve
from ultrares.methods.saved import SavedModel
from ultrares.methods.wavediffur import WaveDiffUR
from ultrares.types import Backbone, Origin

UNSAID = "not stated"

PROBE = 17, 23
"""Sides of the image that a network proves its scale, bands and size rule with: different ones, as those of
scenes are, and multiples of nothing."""


def plugged(
    backbones: Sequence[Backbone],
    *,
    name: str,
    licence: str | None = None,
    trained_on: str | None = None,
    sha256: str | None = None,
    parameters: int = 0,
    device: str = "cpu",
) -> SavedModel:
    """Make a model of backbones that are on ``device`` already; each is tried on a small image first.

    Args:
        backbones: Together they have each scale once.
        name: What the model is called.
        licence: Of the weights.
        trained_on: Data that they were trained on.
        sha256: Of their file.
        parameters: Number of weights.
        device: Where images are brought.

    Raises:
        ModelError: A backbone cannot do what it declares.
    """
    solvers = [
        WaveDiffUR(backbone, device=device, scale=scale)
        for backbone in backbones
        for scale in backbone.scales
    ]
    for solver in solvers:
        _try_out(solver)
    manifest = Manifest(
        name=name,
        backbone=BackboneConfig(kind="foreign"),
        licence=licence or UNSAID,
        trained_on=trained_on or UNSAID,
        parameters=parameters,
        sha256=sha256,
    )
    return SavedModel(manifest, tuple(solvers))


@torch.inference_mode()
def _try_out(solver: WaveDiffUR) -> None:
    """Enlarge a small image, or say why that cannot be done."""
    backbone, scale = solver.backbone, solver.scale
    bands, (rows, cols) = backbone.bands or 3, PROBE
    image = torch.full((1, bands, rows, cols), 0.5, device=solver.device)
    place = Place(Origin(0, 0), level=0, mtf=0.5, depth=0)
    try:
        fine = solver.super_resolve(image, place, Solve())
    except (UltraresError, MemoryError):
        raise
    except Exception as error:
        # Networks of others fail in ways of their own; the last line is where torch says why.
        reason = (str(error).strip() or type(error).__name__).splitlines()[-1].strip(" .:")
        raise ModelError(
            f"backbone {backbone.name!r} cannot take an image of {bands} bands and {rows} x {cols} pixels: "
            f"{reason}; say its true bands and size rule"
        ) from error
    if fine.shape != (1, bands, scale * rows, scale * cols):
        raise ModelError(
            f"backbone {backbone.name!r} made {tuple(fine.shape)} of {tuple(image.shape)} at x{scale}: "
            "say its true scales and bands"
        )
    if not fine.isfinite().all():
        raise ModelError(
            f"backbone {backbone.name!r} makes numbers that are not finite at x{scale}"
        )
