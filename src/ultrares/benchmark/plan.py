"""A plan: which table or figure is measured, of which models, at which scales, on which data, and how."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections import Counter
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from ultrares.data.catalogue import data_set
from ultrares.errors import OptionError
from ultrares.metrics.suite import check_names
from ultrares.sensor.models import parse_sensor
from ultrares.types import Mode

Role = Literal["alone", "one-step", "cascade"]
"""How a model reaches a scale: ``alone`` by its backbone's own steps, with nothing of ours around them;
``one-step`` by interpolation and one level for the rest; ``cascade`` by level after level."""

ReferenceKind = Literal["none", "real", "leak", "itself", "elsewhere"]
"""What a model is given beside the image: ``real`` is the same place at another date; ``leak`` is the truth
itself at 1.5 times the image's resolution, as in the papers; ``itself`` is the image, enlarged to that, which
tells nothing new; ``elsewhere`` is another place, prepared like the real reference or, without one, the leak."""

Parts = Literal["baseline", "model-1", "model-2", "proposed"]

Condition = Literal["progressive", "reuse"]

Scale = Annotated[float, Field(gt=1, le=128)]
Side = Annotated[int, Field(ge=8)]
Count = Annotated[int, Field(ge=1)]

SHELVES = (Path(__file__).parents[1] / "plans", Path(__file__).parents[3] / "plans")
"""Where plans are kept that have a name: in the package, and beside it in a checkout."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DataEntry(_Section):
    """Images of a data set, and how tasks are cut from them: either ``truth`` or ``coarse`` is given."""

    name: str
    """Which data set of the catalogue."""
    truth: Side | None = None
    """Side of the truth, cut from an image at its own resolution, the same at every scale."""
    coarse: Side | None = None
    """Side of the coarse image that an image's largest square is reduced to, the same at every scale, as in the
    papers. The truth is that square at the scale's size: reduced, or beyond its own resolution
    enlarged, which makes it a pseudo truth."""
    crops: Count = 1
    """Truths cut from each image, side by side."""
    limit: Count | None = None
    """Images that are used at most."""
    scales: tuple[Scale, ...] | None = None
    """Scales for these images, if not the plan's."""

    @field_validator("name")
    @classmethod
    def _is_known(cls, name: str) -> str:
        data_set(name)
        return name

    @model_validator(mode="after")
    def _says_one_size(self) -> Self:
        if (self.truth is None) == (self.coarse is None):
            raise ValueError(f"{self.name}: give either truth or coarse, a side in pixels")
        if self.coarse is not None and self.crops > 1:
            raise ValueError(f"{self.name}: crops belongs to truth; coarse takes whole images")
        return self


class ModelEntry(_Section):
    """One row of a table."""

    model: str
    """A name that ``ultrares.load`` knows, or ``carn-m``."""
    role: Role = "cascade"
    """How it reaches the scale."""
    reference: ReferenceKind = "none"
    """What it is given beside the image."""
    mode: Mode = "fidelity"
    """Conditional mean, or a sample."""
    parts: Parts | None = None
    """Which parts of Algorithm 2 are on; None is the model as it is."""
    condition: Condition = "progressive"
    """Whether every level of a cascade looks at the level before it, or at the scene."""
    residual: bool = True
    """Whether the continuous operator makes what no level of a cascade reaches."""
    title: str | None = None
    """How the row is called; by default what it is."""
    counterpart: str | None = None
    """The row of the published tables that stands for the same."""

    @property
    def label(self) -> str:
        """How the row is called, which tells it from all others of its plan."""
        if self.title is not None:
            return self.title
        words = [f"{self.model}, {self.role}"]
        words += [f"parts {self.parts}"] if self.parts else []
        words += [] if self.condition == "progressive" else [f"condition {self.condition}"]
        words += [] if self.mode == "fidelity" else [self.mode]
        words += [] if self.reference == "none" else [f"reference {self.reference}"]
        return ", ".join(words)

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.role == "alone" and (self.reference != "none" or self.parts):
            raise ValueError(f"{self.model}: a backbone alone takes no reference and has no parts")
        if self.condition == "reuse" and (self.role != "cascade" or self.parts):
            raise ValueError(f"{self.model}: only a whole cascade can reuse its first condition")
        return self


class Plan(_Section):
    """What is measured."""

    name: str
    """How the plan is called; files of results remember it."""
    title: str
    """What it is about, in one line."""
    mirrors: str
    """Which table or figure of which paper."""
    notes: tuple[str, ...] = ()
    """What a reader should know, a sentence each."""
    sensor: str = "bicubic"
    """How the truth is reduced, and what results are held to."""
    metrics: Annotated[tuple[str, ...], Field(min_length=1)]
    """Names of `docs/metrics.md`, the first the one that curves and pictures show."""
    scales: Annotated[tuple[Scale, ...], Field(min_length=1)]
    """Ratios of the resolutions; those that are not whole are rounded to whole coarse pixels."""
    pictured: tuple[Scale, ...] = ()
    """Scales whose first image of each data set is shown."""
    data: Annotated[tuple[DataEntry, ...], Field(min_length=1)]
    """On which images."""
    models: Annotated[tuple[ModelEntry, ...], Field(min_length=1)]
    """Of which models; the mandatory rows are added to them."""
    published: tuple[str, ...] = ()
    """Ids of published tables that stand beside."""
    claims: str | None = None
    """The model of Algorithm 2 that the papers' claims are answered for; None leaves them out."""

    @field_validator("metrics")
    @classmethod
    def _are_metrics(cls, metrics: tuple[str, ...]) -> tuple[str, ...]:
        check_names(metrics)
        return metrics

    @field_validator("sensor")
    @classmethod
    def _is_sensor(cls, sensor: str) -> str:
        parse_sensor(sensor)
        return sensor

    @model_validator(mode="after")
    def _tells_rows_apart(self) -> Self:
        for what, names in (
            ("model row", [entry.label for entry in self.models]),
            ("data set", [entry.name for entry in self.data]),
        ):
            twice = [name for name, count in Counter(names).items() if count > 1]
            if twice:
                raise ValueError(
                    f"{what} {twice[0]!r} stands twice; give one of them another title"
                )
        return self

    @property
    def digest(self) -> str:
        """What figures depend on besides a row's own columns, as eight hexadecimal digits.

        More models, scales or images do not change it, so that a plan may grow and keep its results.
        """
        sizes = [(entry.name, entry.truth, entry.coarse, entry.crops) for entry in self.data]
        facts = json.dumps([self.name, self.sensor, self.metrics, sizes])
        return hashlib.sha256(facts.encode()).hexdigest()[:8]

    def scales_for(self, entry: DataEntry, asked: tuple[float, ...] | None) -> tuple[float, ...]:
        """Scales of a data set, only those asked for if any are."""
        scales = entry.scales or self.scales
        return scales if asked is None else tuple(scale for scale in scales if scale in asked)


def find_plan(name: str | Path) -> Path:
    """The file of a plan: a path, or the name of one that comes with ultrares.

    Raises:
        OptionError: There is neither.
    """
    path = Path(name)
    if path.suffix == ".toml" or path.is_file():
        return path
    for shelf in SHELVES:
        shelved = shelf / f"{name}.toml"
        if shelved.is_file():
            return shelved
    raise OptionError(
        f"no plan is called {str(name)!r}: pass a TOML file, or one of {', '.join(known_plans())}"
    )


def known_plans() -> list[str]:
    """The names of the plans that come with ultrares."""
    return sorted({file.stem for shelf in SHELVES for file in shelf.glob("*.toml")})


def read_plan(path: Path) -> Plan:
    """Read a plan from its TOML file.

    Raises:
        OptionError: The file is missing, is no TOML, or holds a wrong or unknown key.
    """
    try:
        with path.open("rb") as file:
            return Plan.model_validate(tomllib.load(file))
    except OSError as error:
        raise OptionError(f"plan {path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise OptionError(f"plan {path} is no TOML: {error}") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the plan"
        raise OptionError(f"plan {path}: {where}: {first['msg']}") from error
