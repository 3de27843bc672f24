"""The card beside a network's file, which says what the file cannot."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ultrares.errors import ModelError
from ultrares.types import SizeRule

Kind = TypeVar("Kind", bound=BaseModel)

Scale = Annotated[int, Field(ge=2, le=128)]
Halo = Annotated[int, Field(ge=0, le=512)]
Bands = Annotated[int, Field(ge=1)] | Literal["any"]
Side = Annotated[int, Field(ge=1)]
Value = Annotated[float, Field(allow_inf_nan=False)]

DEFAULT_HALO = 64
"""Context for a network whose receptive field is not told. Those of deep ones reach farther in theory; see
docs/plugins.md for what that was measured to cost."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Rule(_Section):
    """Sides that a network accepts."""

    multiple_of: Side = 1
    minimum: Side = 1

    def rule(self) -> SizeRule:
        """The same in our own words."""
        return SizeRule(minimum=self.minimum, multiple_of=self.multiple_of)


class _Origin(_Section):
    """Where a network comes from; all in words."""

    name: str | None = None
    licence: str | None = None
    trained_on: str | None = None


class Card(_Origin):
    """What must be said of an ONNX or TorchScript file: five lines.

    ``value_range`` is what black and full scale are in the network's units; ``local`` is false where pixels
    beyond the halo have a little influence.
    """

    scale: Scale
    bands: Bands
    value_range: Annotated[tuple[Value, Value], Field(strict=False)]
    halo: Halo
    size_rule: Rule
    local: bool = True


class StateCard(_Origin):
    """What may be said of a state dict, which otherwise tells everything by itself but its halo."""

    scale: Scale | None = None
    bands: Annotated[int, Field(ge=1)] | None = None
    halo: Halo = DEFAULT_HALO
    local: bool = False


class FolderCard(_Origin):
    """The files of a family by their scales; each may have a card of its own beside it."""

    files: Annotated[dict[str, str], Field(min_length=1)]


def card_of(path: Path) -> Path:
    """Where the card of a file is."""
    return path.with_suffix(".card.toml")


def read_card(path: Path, kind: type[Kind]) -> Kind:
    """Read and check a card.

    Raises:
        ModelError: It is missing or no valid card.
    """
    try:
        return kind.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise ModelError(
            f"card {path} cannot be read: {error.strerror}; write one as docs/plugins.md shows"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"card {path} is no TOML file: {error}") from error
    except ValidationError as error:
        raise ModelError(f"card {path} {_first(error)}; see docs/plugins.md") from error


def _first(error: ValidationError) -> str:
    """The first thing that is wrong with a card."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "missing":
        return f"lacks {where!r}"
    if first["type"] == "extra_forbidden":
        return f"has an unknown key {where!r}"
    return f"is not valid at {where!r}: {first['msg']}"
