"""A finished piece of the product, what makes one, and what becomes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from ultrares.types import Sink, Window

Progress = Callable[[int, int], None]


class Layer(NamedTuple):
    """Pixels that belong to a tile beside those of the product.

    Attributes:
        pixels: Shape (C, h, w).
        valid: Which of them are valid, (C, h, w).
    """

    pixels: np.ndarray
    valid: np.ndarray


@dataclass(frozen=True)
class Tile:
    """Finished pixels of the product.

    Attributes:
        place: Where they belong, counted from the product's first pixel.
        pixels: Digital numbers, (C, h, w).
        valid: Which of them show the ground, (C, h, w).
        spread: Standard deviation of the draws in digital numbers, float32, (L, h, w) for the L lit bands,
            with not-a-number where the scene is not valid; None if it was not asked for.
        lit: Which pixels of ``spread`` are valid, (L, h, w).
        layers: What else was asked for, by name, such as ``evidence``.
    """

    place: Window
    pixels: np.ndarray
    valid: np.ndarray
    spread: NDArray[np.float32] | None = None
    lit: NDArray[np.bool_] | None = None
    layers: Mapping[str, Layer] = field(default_factory=dict)


class Tiler(Protocol):
    """Makes the tiles of a product: each is a pure function of its place, in any order and any process."""

    @property
    def places(self) -> Sequence[Window]:
        """The windows of the product, which cover it once, in the order in which it is best made."""

    def make(self, place: Window) -> Tile:
        """The tile of one of ``places``."""


class ForgetfulTiler(Tiler, Protocol):
    """A tiler that keeps cells it has computed."""

    def forget(self) -> None:
        """Drop what is kept, and keep half as much from now on."""


def write_tiles(
    tiler: Tiler,
    sink: Sink,
    *,
    spread: Sink | None = None,
    layers: Mapping[str, Sink] | None = None,
    skip: Set[Window] = frozenset(),
    on_progress: Progress | None = None,
) -> None:
    """Make tiles one after the other and hand them to sinks; the caller commits.

    Args:
        tiler: Makes them.
        sink: Receives pixels.
        spread: Receives the standard deviation of the draws, if the tiler makes it.
        layers: Receive the layers of their name, which the tiler must make.
        skip: Places that the sinks have already, of an earlier run.
        on_progress: Called with output pixels done and their total, after each tile that is stored; what it
            raises ends the run between two tiles.
    """
    places = tiler.places
    total = sum(place.height * place.width for place in places)
    done = sum(place.height * place.width for place in places if place in skip)
    if done and on_progress is not None:
        on_progress(done, total)
    for place in places:
        if place in skip:
            continue
        tile = tiler.make(place)
        write_tile(tile, sink, spread=spread, layers=layers)
        done += place.height * place.width
        if on_progress is not None:
            on_progress(done, total)


def write_tile(
    tile: Tile, sink: Sink, *, spread: Sink | None = None, layers: Mapping[str, Sink] | None = None
) -> None:
    """Hand what a tile holds to the sinks that there are."""
    sink.write(tile.place, tile.pixels, tile.valid)
    if spread is not None:
        assert tile.spread is not None, "the tiler makes no spread"
        assert tile.lit is not None, "a spread says where it is valid"
        spread.write(tile.place, tile.spread, tile.lit)
    for name, extra in (layers or {}).items():
        extra.write(tile.place, *tile.layers[name])
