"""Settings of systems whose networks enlarge by doublings."""

from __future__ import annotations

from pydantic import field_validator

from ultrares.backbones.system import SystemSettings


class OctaveSettings(SystemSettings):
    """Scales are powers of two."""

    @field_validator("scales")
    @classmethod
    def _are_octaves(cls, scales: tuple[int, ...]) -> tuple[int, ...]:
        for scale in scales:
            if scale & (scale - 1):
                raise ValueError(
                    f"x{scale} is no power of two, and this system enlarges by doublings"
                )
        return scales
