"""A start that leaves things out leaves nothing else changed."""

from __future__ import annotations

import gc
import inspect
import subprocess
import sys

import pytest
import torch

from ultrares.cli.postponed import PARTS
from ultrares.cli.start import quick_start


def said(program: str) -> list[str]:
    """The lines that a fresh interpreter prints."""
    done = subprocess.run(
        [sys.executable, "-c", f"from ultrares.cli.start import quick_start\n{program}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_all_is_as_before_after_an_error() -> None:
    def state() -> tuple[object, ...]:
        return gc.isenabled(), inspect.getmodule, list(sys.meta_path), sys.modules.get("cuda", 0)

    before = state()
    with pytest.raises(KeyError), quick_start():
        raise KeyError
    assert state() == before


def test_compilers_find_the_shapes_after_an_error_too() -> None:
    program = (
        "try:\n"
        "    with quick_start():\n        import torch\n        raise KeyError\n"
        "except KeyError:\n"
        "    import importlib.util, torch._dynamo\n"
    )
    assert said(f"{program}{LOADED}") == ["True"]


def test_who_only_asks_for_a_module_changes_nothing() -> None:
    program = (
        "with quick_start():\n    import torch\n"
        "import importlib.util\nimportlib.util.find_spec('torch._dynamo')\n"
        f"{LOADED}import torch._dynamo\n{LOADED}"
    )
    assert said(program) == ["False", "True"]


def test_what_is_postponed_is_called_so() -> None:
    assert said(
        "from importlib import import_module\nfrom ultrares.cli.postponed import PARTS, SHAPES\n"
        "print(all(import_module(name).__name__ == name for name in (*SHAPES, *PARTS)))\n"
    ) == ["True"]


@pytest.mark.parametrize("part", PARTS)
def test_a_part_is_there_for_who_takes_it_and_for_who_imports_it(part: str) -> None:
    home, _, last = part.rpartition(".")
    program = (
        "import sys\nwith quick_start():\n    import torch\n"
        f"taken = {part}\nprint({part!r} in sys.modules)\n"
        f"try: taken.anything\nexcept AttributeError as error: print(error)\n"
        f"import {part} as real\n"
        f"print(taken is real, {home}.{last} is real is sys.modules[{part!r}])\n"
        f"print(all(getattr(taken, name) is each for name, each in vars(real).items() if name[0] != '_'))\n"
    )
    missing = f"module '{part}' has no attribute 'anything'"
    assert said(program) == ["False", missing, "False True", "True"]


@pytest.mark.parametrize("inside", [True, False])
def test_a_part_can_be_the_home_of_what_is_imported(inside: bool) -> None:
    imports = "import torch.optim.lr_scheduler, torch.utils.data.distributed"
    program = (
        f"with quick_start():\n    import torch\n{'    ' * inside}{imports}\n"
        "print(torch.optim.lr_scheduler.StepLR.__name__, torch.utils.data.distributed.__name__)\n"
    )
    assert said(program) == ["StepLR torch.utils.data.distributed"]


def test_who_looks_at_a_part_sees_all_of_them() -> None:
    program = (
        "import pickle\nwith quick_start():\n    import torch\n"
        "optim, quantised = torch.optim, torch.ao\n"
        "print('SGD' in dir(optim), optim.__file__ == torch.optim.__file__)\n"
        "print(quantised.nn.quantized.dynamic.Linear.__name__, type(torch.masked).__name__)\n"
        "print(pickle.loads(pickle.dumps(optim)) is torch.optim)\n"
    )
    assert said(program) == ["True True", "Linear module", "True"]


def test_a_release_that_nobody_tried_is_imported_whole() -> None:
    program = (
        "import sys\nfrom ultrares.cli import postponed\npostponed.TRIED = (2, 0), (2, 1)\n"
        "with quick_start():\n    import torch\n"
        "print(sum(name in sys.modules for name in postponed.PARTS), *postponed._release_of_torch())\n"
    )
    release = [int(part) for part in torch.__version__.split(".")[:2]]
    assert said(program) == [f"{len(PARTS)} {release[0]} {release[1]}"]


def test_all_parts_can_be_imported_one_by_one() -> None:
    imports = "\n".join(f"import {part}" for part in reversed(PARTS))
    program = (
        f"with quick_start():\n    import torch\n{imports}\nprint(type({PARTS[0]}).__name__)\n"
    )
    assert said(program) == ["module"]


def test_a_frame_s_module_is_known_without_a_search(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = inspect.currentframe()
    with quick_start():
        assert inspect.getmodule(subprocess.run) is subprocess
        monkeypatch.setattr(inspect, "getabsfile", pytest.fail)
        assert inspect.getmodule(frame) is sys.modules[__name__]


LOADED = "import sys; print('torch._meta_registrations' in sys.modules)\n"


def test_shapes_are_postponed_until_a_command_imports_them() -> None:
    program = (
        f"with quick_start():\n    import torch\n{LOADED}import torch._meta_registrations\n{LOADED}"
    )
    assert said(program) == ["False", "True"]


def test_what_is_computed_before_and_after_is_the_same() -> None:
    convolution = (
        "x = torch.ones(1, 3, 8, 8, device='meta')\n"
        "print(list(torch.nn.functional.conv2d(x, torch.ones(5, 3, 3, 3, device='meta')).shape))\n"
    )
    quick = "with quick_start():\n    import torch\nimport torch._meta_registrations\n"
    assert said(quick + convolution) == said(f"import torch\n{convolution}") == ["[1, 5, 6, 6]"]


@pytest.mark.parametrize(
    "first",
    [
        "torch._decomp",
        "torch._dynamo",
        "torch._inductor",
        "torch._prims",
        "torch._refs",
        "torch.export",
        "torch.utils._content_store",
    ],
)
def test_a_compiler_finds_the_shapes(first: str) -> None:
    program = (
        f"with quick_start():\n    import torch\n{LOADED}import {first}\n"
        "@torch.compile(backend='eager', fullgraph=True)\n"
        "def double(x):\n    return torch.nn.functional.conv2d(x, torch.ones(5, 3, 3, 3)) * 2\n"
        f"print(double(torch.ones(1, 3, 8, 8)).mean().item())\n{LOADED}"
    )
    assert said(program) == ["False", "54.0", "True"]


def test_who_looks_into_what_is_postponed_gets_it() -> None:
    program = (
        "import sys\nfrom ultrares.cli import postponed\npostponed.SHAPES = ('wave', 'email.quoprimime')\n"
        "with postponed.postponed_parts():\n"
        "    import wave, email.quoprimime\n"
        "    print(hasattr(wave, '__wrapped__'), type(sys.modules['wave']).__name__, wave.open.__name__)\n"
        "    from email import quoprimime\n"
        "print('wave' in sys.modules, 'email.quoprimime' in sys.modules, hasattr(email, 'quoprimime'))\n"
        "import email.quoprimime\nprint(email.quoprimime.quote(' '))\n"
    )
    assert said(program) == ["False _Later open", "True False False", "=20"]


def test_somebody_elses_networks_find_the_shapes() -> None:
    program = (
        "with quick_start():\n    import torch\n"
        "from pathlib import Path\nfrom ultrares.backbones.foreign import load_foreign\n"
        f"try: load_foreign(Path('none.pth'))\nexcept Exception: pass\n{LOADED}"
    )
    assert said(program) == ["True"]


def test_torch_sees_no_bindings_of_a_driver_that_is_not_there() -> None:
    program = (
        "import ctypes, sys\n"
        "try: ctypes.CDLL('libcuda.so.1')\n"
        "except OSError: print('no driver')\n"
        "with quick_start():\n    import torch\n"
        "print('cuda.bindings' in sys.modules, sys.modules.get('cuda', 0) is None)\n"
    )
    lines = said(program)
    if lines[0] != "no driver":
        pytest.skip("there is a CUDA driver")
    assert lines[1] == "False False"
