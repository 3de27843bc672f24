"""What a system of the papers is to the rest of ultrares: settings, a network, a backbone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Protocol

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from torch import nn

from ultrares.types import Backbone

SystemPreset = Literal["paper", "small"]
"""The size of the paper, or one of 4 MB that is local, so that the tiles of a scene agree."""


class SystemSettings(BaseModel):
    """Everything that decides what a system's weights mean; stored with them and never changed."""

    # Whoever reads another kind of model need not wait for what checks these.
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    scales: Annotated[tuple[Annotated[int, Field(ge=2, le=16)], ...], Field(min_length=1)]
    """Factors that the one network enlarges by; told to it, if there are several."""
    bands: Annotated[int, Field(ge=1)] = 3
    """Bands that it sees at once."""

    @field_validator("scales")
    @classmethod
    def _rise(cls, scales: tuple[int, ...]) -> tuple[int, ...]:
        if list(scales) != sorted(set(scales)):
            raise ValueError(f"scales {list(scales)} must rise")
        return scales


class MakeBackbone(Protocol):
    """How a trained network becomes a backbone."""

    def __call__(
        self, net: nn.Module, settings: Any, *, name: str, autocast: bool = False
    ) -> Backbone:
        """Put ``net`` behind the contract."""


@dataclass(frozen=True)
class System:
    """One system of the papers.

    Attributes:
        kind: How recipes and saved models call it.
        title: How people call it.
        paper: Where it comes from; for our reading of a silent paper, that it is one.
        settings: The type of its settings.
        presets: The settings of the paper's size and of the small one.
        build: Makes the network of some settings, with fresh weights.
        backbone: Makes a backbone of it.
    """

    kind: str
    title: str
    paper: str
    settings: type[SystemSettings]
    presets: Mapping[SystemPreset, SystemSettings]
    build: Callable[[Any], nn.Module]
    backbone: MakeBackbone

    def with_changes(self, preset: SystemPreset, changes: Mapping[str, Any]) -> SystemSettings:
        """The settings of a preset with some of them changed.

        Raises:
            ValueError: There is no such setting, or a value makes no sense.
        """
        return self.validated({**self.presets[preset].model_dump(), **changes})

    def validated(self, given: object) -> SystemSettings:
        """Settings from plain values.

        Raises:
            ValueError: One of them is unknown, missing or makes no sense; the message says which.
        """
        try:
            return self.settings.model_validate(given)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "settings"
            raise ValueError(f"{where}: {first['msg'].removeprefix('Value error, ')}") from error

    def parameters(self, settings: SystemSettings) -> int:
        """How many weights the network has, counted without making them."""
        with torch.device("meta"):
            return sum(parameter.numel() for parameter in self.build(settings).parameters())


def both_presets(paper: SystemSettings, small: SystemSettings) -> Mapping[SystemPreset, Any]:
    """The two presets that every system has."""
    return {"paper": paper, "small": small}
