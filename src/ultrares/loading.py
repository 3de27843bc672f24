"""From a model's name to a model that is ready to run."""

from __future__ import annotations

from pathlib import Path

from ultrares.catalogue import load_saved, residual_loader
from ultrares.methods.saved import SavedModel
from ultrares.model import Model
from ultrares.types import Backbone, Precision


def load(
    name: str | Path | Backbone | None = None,
    *,
    precision: Precision = "auto",
    device: str | None = None,
) -> Model:
    """Load a model: the embedded default, a name from :func:`models`, a file, a folder, or a hub id.

    Args:
        name: None for the default. Otherwise a name, a folder with config.json and
            model.safetensors, ``owner/repository`` on the Hugging Face hub, or a backbone: the file of a
            network (.pth, .safetensors, .onnx, .ts), a folder with card.toml, or an object, such as
            :meth:`ultrares.Backbone.wrap` makes (docs/plugins.md).
        precision: ``bf16`` and ``fp32`` say how to convolve; ``auto`` is bf16 where the processor has it,
            but for other people's networks fp32, or as they were wrapped.
        device: A torch device; None is a GPU if there is one, else the CPU.

    Raises:
        ModelError: There is no such model, or its files are corrupt.
        OptionError: There is no such precision or device.
    """
    saved = load_saved(name, precision=precision, device=device)
    if isinstance(saved, SavedModel) and saved.manifest.backbone.kind == "bicubic":
        # What is compared with as interpolation has to be nothing else, at any scale.
        return Model(saved)
    return Model(saved, residual=residual_loader(precision=precision, device=device))
