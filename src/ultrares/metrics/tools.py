"""What some metrics need besides images: networks and models, read from a folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ultrares.errors import ModelError
from ultrares.metrics.lpips import FEATURES, HEADS, Lpips
from ultrares.metrics.niqe import PRISTINE, Pristine, read_pristine


@dataclass(frozen=True)
class Tools:
    """The networks and models at hand.

    Attributes:
        lpips: For the perceptual distance, or None.
        pristine: For NIQE, or None.
    """

    lpips: Lpips | None = None
    pristine: Pristine | None = None


def read_tools(folder: str | Path | None) -> Tools:
    """Read what a folder holds of the weights of LPIPS and the model of NIQE.

    Raises:
        ModelError: It holds neither, or a file is not what it should be.
    """
    if folder is None:
        return Tools()
    place = Path(folder)
    networks = (place / FEATURES).is_file() and (place / HEADS).is_file()
    model = (place / PRISTINE).is_file()
    if not networks and not model:
        raise ModelError(f"{folder} holds neither {FEATURES} with {HEADS}, nor {PRISTINE}")
    return Tools(
        Lpips(place) if networks else None, read_pristine(place / PRISTINE) if model else None
    )
