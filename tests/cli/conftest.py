"""A command line whose Python face is a double: no raster, no network is touched."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from types import ModuleType
from typing import Any, NamedTuple

import pytest

import ultrares
from ultrares.cli.app import main
from ultrares.errors import ModelError
from ultrares.reports import PlanReport


@dataclass(frozen=True)
class FakeUpscaleReport:
    target: str
    width: int = 1404
    height: int = 1408
    bands: int = 6
    dtype: str = "uint8"
    scale: float = 4
    model: str = "double"
    mode: str = "fidelity"
    sensor: str = "box"
    seed: int = 0
    draws: int = 1
    seconds: float = 12.34
    megapixels_per_second: float = 1.0
    radiometry: str = "block means exact"
    reference: str | None = None
    uncertainty: str | None = None
    evidence: str | None = None
    stac: str | None = None
    reference_shift: tuple[float, float] | None = None
    moved: float = 0.0
    resumed: int = 0

    def to_dict(self) -> dict[str, object]:
        return asdict(self)


FAKE_PLAN = PlanReport(
    1404,
    1408,
    6,
    "uint8",
    4,
    "double",
    512,
    9,
    10**9,
    2 * 10**9,
    "machine",
    10**7,
    10**7,
    10**9,
    0.5,
    1.0,
)


@dataclass(frozen=True)
class FakeCheckReport:
    problems: list[str]

    @property
    def ok(self) -> bool:
        return not self.problems

    def to_dict(self) -> dict[str, object]:
        return {"ok": self.ok, "problems": self.problems, "largest_residual_dn": 0.0}


@dataclass(frozen=True)
class FakeDegradeReport:
    target: str
    width: int = 40
    height: int = 30
    sensor: str = "bicubic"


@dataclass(frozen=True)
class FakeModelInfo:
    name: str
    method: str = "cascade"
    scales: str = "2, 4, 8"
    bands: str = "any number"
    parameters: int = 1_234_567
    licence: str = "Apache-2.0"
    trained_on: str = "NAIP"
    present: bool = True
    path: str | None = "/weights/double"


@dataclass
class FakeApi:
    """What the commands asked for, and what they shall get."""

    calls: list[tuple[str, tuple[object, ...], dict[str, Any]]] = field(default_factory=list)
    failure: BaseException | None = None
    problems: list[str] = field(default_factory=list)
    scores: object = None
    models: list[FakeModelInfo] = field(default_factory=lambda: [FakeModelInfo("double")])

    def module(self) -> ModuleType:
        """The double as a module in the form of ``ultrares.api``."""
        answers: dict[str, Callable[..., object]] = {
            "upscale_scene": self._upscale_scene,
            "plan_scene": lambda *_, **__: FAKE_PLAN,
            "check": lambda *_: FakeCheckReport(self.problems),
            "degrade": lambda _, target, **options: FakeDegradeReport(
                str(target), sensor=options["sensor"]
            ),
            "describe_raster": lambda path, **_: {
                "path": path,
                "nodata": None,
                "pixel_size": (28.5, 28.5),
            },
            "describe_model": lambda name: {"name": name, "licence": "Apache-2.0"},
            "models": lambda: self.models,
            "load": self._load,
            "evaluate": lambda *_, **__: self.scores,
        }
        module = ModuleType("ultrares.api")
        for name, answer in answers.items():
            setattr(module, name, self._recorded(name, answer))
        return module

    @staticmethod
    def _upscale_scene(_: object, target: object, **options: Any) -> FakeUpscaleReport:
        reference, uncertainty = options["reference"], options["uncertainty"]
        return FakeUpscaleReport(
            str(target),
            scale=options["scale"] or 2.5,
            draws=options["draws"],
            reference=None if reference is None else str(reference),
            uncertainty=None if uncertainty is None else str(uncertainty),
            reference_shift=None if reference is None else (0.25, -1.5),
        )

    def _load(self, name: str) -> str:
        if not all(info.present for info in self.models if info.name == name):
            raise ModelError(f"model {name}: the checksum differs")
        return name

    def _recorded(self, name: str, answer: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **options: Any) -> object:
            self.calls.append((name, arguments, options))
            if self.failure is not None:
                raise self.failure
            progress = options.get("progress")
            if progress is not None:
                progress(50, 100)
                progress(100, 100)
            return answer(*arguments, **options)

        return call


@pytest.fixture
def api(monkeypatch):
    """A double of ``ultrares.api`` in place of the real one."""
    double = FakeApi()
    module = double.module()
    monkeypatch.setitem(sys.modules, "ultrares.api", module)
    monkeypatch.setattr(ultrares, "api", module, raising=False)
    return double


class Outcome(NamedTuple):
    """What a run of the command line left behind."""

    status: int
    stdout: str
    stderr: str


@pytest.fixture
def run(capsys):
    """A function that runs the command line in this process."""

    def run_command(*arguments: str) -> Outcome:
        with pytest.raises(SystemExit) as stop:
            main(list(arguments))
        captured = capsys.readouterr()
        status = stop.value.code
        return Outcome(0 if status is None else int(status), captured.out, captured.err)

    return run_command
