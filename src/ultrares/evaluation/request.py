"""What an evaluation is asked for."""

from __future__ import annotations

from dataclasses import dataclass, field

from ultrares.metrics.tools import Tools


@dataclass(frozen=True)
class Request:
    """The choices that figures depend on.

    Attributes:
        metrics: Names of the metrics wanted; None for all that can be had.
        sensor: How a coarse pixel gathers light; None for what the files say of it, else ``box``.
        peak: Largest value the data can take; None is 255 for bytes, else the truth's range.
        scale: Fine pixels per coarse pixel; known from the coarse raster if there is one.
        tile: Side of the tiles that the result was computed in.
        tools: Networks and models.
        bands: Which bands of the truth the result's are, by numbers or names; None for all that are no alpha.
    """

    metrics: tuple[str, ...] | None = None
    sensor: str | None = None
    peak: float | None = None
    scale: float | None = None
    tile: int | None = None
    tools: Tools = field(default_factory=Tools)
    bands: tuple[str, ...] | None = None
