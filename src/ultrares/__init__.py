"""Super-resolution of remote-sensing scenes of any size, with exact radiometry.

The names below are the whole public surface. They are imported when they are first asked for, so that
``import ultrares`` costs nothing: neither torch nor rasterio is loaded by it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ultrares.api import check, degrade, evaluate, load, plan_scene, upscale_scene
    from ultrares.backbones.wrap import Backbone
    from ultrares.catalogue import models
    from ultrares.errors import UltraresError
    from ultrares.model import Model

__version__ = "0.1.0"

__all__ = [
    "Backbone",
    "Model",
    "UltraresError",
    "__version__",
    "check",
    "degrade",
    "evaluate",
    "load",
    "models",
    "plan_scene",
    "upscale_scene",
]

_HOMES = {
    "Backbone": "ultrares.backbones.wrap",
    "Model": "ultrares.model",
    "UltraresError": "ultrares.errors",
    "check": "ultrares.api",
    "degrade": "ultrares.api",
    "evaluate": "ultrares.api",
    "load": "ultrares.api",
    "models": "ultrares.catalogue",
    "plan_scene": "ultrares.api",
    "upscale_scene": "ultrares.api",
}


def __getattr__(name: str) -> Any:
    """Import a public name from its home, once."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names."""
    return __all__
