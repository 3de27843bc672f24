"""Parts of torch that no command of ours uses, imported once somebody asks for them."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

SHAPES = ("torch._meta_registrations", "torch.distributed._meta_registrations")
"""Modules that tell torch the shapes of operators' results without computing them, for compilers."""

PARTS = (
    "torch.ao",
    "torch.distributions",
    "torch.masked",
    "torch.nn.intrinsic",
    "torch.nn.qat",
    "torch.nn.quantizable",
    "torch.nn.quantized",
    "torch.optim",
    "torch.profiler",
    "torch.quantization",
    "torch.utils.data",
)
"""What torch offers as its attributes from the start, and itself has no need of: quantisation, optimisers and the like."""

TRIED = (2, 6), (2, 15)
"""The first and the last release of torch that was tried without its parts: another one may need them in another order."""


@contextmanager
def postponed_parts() -> Iterator[None]:
    """Have shapes told only once a compiler is imported, and parts imported only once somebody looks into them.

    Where somebody else's code may compute on tensors without values, ``import torch._meta_registrations`` tells shapes.
    """
    if "torch" in sys.modules:
        yield
        return
    parts = PARTS if TRIED[0] <= _release_of_torch() <= TRIED[1] else ()
    sys.modules.update({name: _Later(name) for name in (*SHAPES, *parts)})
    try:
        yield
    finally:
        for name in (*SHAPES, *parts):
            stand_in = sys.modules.get(name)
            if isinstance(stand_in, _Later):
                _forget(name)
                home, _, last = name.rpartition(".")
                # Who imports a part finds the real one; who takes it as an attribute, what will become it.
                if name in parts and home in sys.modules:
                    stand_in._together = parts
                    setattr(sys.modules[home], last, stand_in)
        if "torch" in sys.modules and not any(
            isinstance(each, _ShapesFirst) for each in sys.meta_path
        ):
            sys.meta_path.insert(0, _ShapesFirst())


def _release_of_torch() -> tuple[int, int]:
    """Major and minor version of the torch that would be imported, zeros if it does not say so."""
    found = find_spec("torch")
    try:
        text = (
            Path(found.origin).with_name("version.py").read_text() if found and found.origin else ""
        )
    except OSError:
        text = ""
    said = re.search(r"""__version__ = ['"](\d+)\.(\d+)""", text)
    return (int(said[1]), int(said[2])) if said else (0, 0)


class _Later(ModuleType):
    """Stands in for a module until somebody asks for what is in it."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        # Parts import parts of one another: whoever looks into one finds all as if torch had imported them.
        self._together: tuple[str, ...] = (name,)

    def __getattr__(self, name: str) -> Any:
        # Of what is between underscores, these are for whoever looks at a module; Python asks for others by itself.
        if name.startswith("__") and name not in ("__all__", "__file__", "__path__"):
            raise AttributeError(name)
        return getattr(self._real(), name)

    def __dir__(self) -> list[str]:
        return dir(self._real())

    def __reduce__(self) -> tuple[Any, ...]:
        return import_module, (self.__name__,)

    def _real(self) -> ModuleType:
        # torch imports shapes without a look inside. A release that does look gets what it looks for.
        for name in self._together:
            if isinstance(_known(name), _Later):
                _forget(name)
        for name in self._together:
            import_module(name)
        return import_module(self.__name__)


def _known(name: str) -> ModuleType | None:
    """A module, or what stands in for it, as others see it."""
    home, _, last = name.rpartition(".")
    if name in sys.modules or home not in sys.modules:
        return sys.modules.get(name)
    return vars(sys.modules[home]).get(last)


def _forget(name: str) -> None:
    """Let a module be imported anew."""
    home, _, last = name.rpartition(".")
    if home in sys.modules:
        vars(sys.modules[home]).pop(last, None)
    sys.modules.pop(name, None)


class _ShapesFirst(MetaPathFinder, Loader):
    """Finds what needs shapes, and has them imported before it, as torch would have done itself.

    These modules import one another in a circle, which holds only where one enters it there.
    """

    CIRCLE = frozenset(
        {
            "torch._decomp",
            "torch._dynamo",
            "torch._prims",
            "torch._refs",
            "torch.utils._content_store",
        }
    )

    def find_spec(self, name: str, *_: object) -> ModuleSpec | None:
        """A module of the circle."""
        return ModuleSpec(name, self) if name in self.CIRCLE else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Import shapes, and then the module as ever, as all others from now on."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)
        for name in SHAPES:
            # Another release of torch may call them otherwise, and then imports them itself.
            with suppress(ModuleNotFoundError):
                import_module(name)
        module = import_module(spec.name)
        self._spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Leave the module as it was made."""
        module.__spec__ = self._spec
