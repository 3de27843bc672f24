"""What a comparison found, with what it means."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ultrares.metrics.definitions import define


@dataclass(frozen=True)
class Scores:
    """Figures by name, and what they rest on.

    Attributes:
        values: The figures; not-a-number where one is not defined for these images.
        pixels: Number of pixels that were compared.
        valid_share: Their share of the image.
        settings: What the definitions depend on, in words: peak, scale, sensor, tile and so on.
        notes: What a reader of the figures should know, a sentence each.
    """

    values: Mapping[str, float]
    pixels: int
    valid_share: float
    settings: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> float:
        """The figure of a name."""
        return self.values[name]

    @property
    def definitions(self) -> dict[str, str]:
        """How each figure was computed, by name."""
        return {name: define(name, self.settings) for name in self.values}

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain values that JSON knows: None for not-a-number, "inf" for infinity."""
        return {
            "scores": {name: plain(value) for name, value in self.values.items()},
            "definitions": self.definitions,
            "pixels": self.pixels,
            "valid_share": self.valid_share,
            "settings": dict(self.settings),
            "notes": list(self.notes),
        }


def plain(value: float) -> float | str | None:
    """A figure as JSON knows it."""
    if math.isnan(value):
        return None
    return str(value) if math.isinf(value) else value
