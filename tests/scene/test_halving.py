"""Running out of memory costs time, never a pixel."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from tests.scene.conftest import Cubic
from ultrares.scene.array_sink import ArraySink
from ultrares.scene.evidence import EVIDENCE
from ultrares.scene.grid_choice import grid_of_scale
from ultrares.scene.grid_stage import GridStage
from ultrares.scene.halving import HalvingTiler
from ultrares.scene.pyramid import Pyramid
from ultrares.scene.radiometry import Radiometry
from ultrares.scene.source import ArraySource
from ultrares.scene.tile import Tile, write_tiles
from ultrares.scene.upscale import BlockTiler
from ultrares.types import Shape, Window

ARRAY = np.random.default_rng(0).integers(0, 255, (2, 23, 31)).astype(np.uint8)
SCALE = 4
LACKS = [
    MemoryError("no"),
    torch.OutOfMemoryError("CUDA out of memory"),
    RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
]


class Starved:
    """A tiler for which pieces above a size are too large."""

    def __init__(self, inner: BlockTiler, most: int, error: BaseException) -> None:
        self.inner, self.most, self.error = inner, most, error
        self.made: list[Window] = []
        self.forgotten = 0

    @property
    def places(self) -> Sequence[Window]:
        return self.inner.places

    def make(self, place: Window) -> Tile:
        if place.height * place.width > self.most:
            raise self.error
        self.made.append(place)
        return self.inner.make(place)

    def forget(self) -> None:
        self.forgotten += 1
        self.inner.forget()


def block_tiler() -> BlockTiler:
    source = ArraySource(ARRAY)
    levels = [Cubic(), Cubic()]
    return BlockTiler(source, levels, SCALE, radiometry=Radiometry.of(source), tile=64)


def image(tiler: BlockTiler | HalvingTiler) -> np.ndarray:
    sink = ArraySink(2, Shape(23 * SCALE, 31 * SCALE), np.dtype("uint8"))
    write_tiles(tiler, sink)
    return sink.array


@pytest.mark.parametrize(
    ("most", "error"), [(5000, LACKS[0]), (1000, LACKS[1]), (300, LACKS[2]), (300, LACKS[0])]
)
def test_smaller_pieces_make_the_same_image(most: int, error: BaseException) -> None:
    starved = Starved(block_tiler(), most, error)
    found = image(HalvingTiler(starved, step=SCALE, largest=64))
    assert np.array_equal(found, image(block_tiler()))
    assert max(place.height * place.width for place in starved.made) <= most


def test_a_limit_from_the_start_makes_no_attempt_that_is_too_large() -> None:
    starved = Starved(block_tiler(), 24 * 24, ZeroDivisionError())
    assert np.array_equal(
        image(HalvingTiler(starved, step=SCALE, largest=22)), image(block_tiler())
    )
    assert starved.forgotten == 0


def test_pieces_have_all_that_the_tile_has() -> None:
    source = ArraySource(ARRAY)
    tiler = BlockTiler(
        source,
        [Cubic(), Cubic()],
        SCALE,
        radiometry=Radiometry.of(source),
        tile=64,
        with_evidence=True,
    )
    starved = Starved(tiler, 1000, MemoryError("no"))
    halving = HalvingTiler(starved, step=SCALE, largest=64)
    for place in tiler.places:
        whole, joined = tiler.make(place), halving.make(place)
        assert whole.layers.keys() == joined.layers.keys() == {EVIDENCE}
        for one, other in (
            (whole.valid, joined.valid),
            *zip(whole.layers[EVIDENCE], joined.layers[EVIDENCE], strict=True),
        ):
            np.testing.assert_array_equal(one, other)
    assert len(starved.made) > len(tiler.places)


def test_what_stays_too_large_is_given_up() -> None:
    starved = Starved(block_tiler(), 15, MemoryError("too small"))
    with pytest.raises(MemoryError, match="too small"):
        image(HalvingTiler(starved, step=SCALE, largest=64))


def test_other_failures_pass() -> None:
    starved = Starved(block_tiler(), 0, RuntimeError("shapes differ"))
    with pytest.raises(RuntimeError, match="shapes differ"):
        HalvingTiler(starved, step=SCALE, largest=64).make(starved.places[0])
    assert starved.forgotten == 0


def test_a_tile_that_cannot_be_cut_is_tried_once_more() -> None:
    starved = Starved(block_tiler(), 0, MemoryError("whole or not at all"))
    halving = HalvingTiler(starved, step=None, largest=64)
    with pytest.raises(MemoryError, match="whole or not at all"):
        halving.make(starved.places[0])
    assert starved.forgotten == 1


def test_forgetting_changes_nothing() -> None:
    source = ArraySource(ARRAY)
    pyramid = Pyramid(source, Radiometry.of(source), [Cubic(), Cubic()])
    window = Window(3, 5, 40, 50)
    before = pyramid.read(2, window)
    pyramid.forget()
    assert torch.equal(pyramid.read(2, window), before)


def test_a_stage_forgets_too() -> None:
    from ultrares.methods.area_average import AreaAverage

    source = ArraySource(ARRAY)
    pyramid = Pyramid(source, Radiometry.of(source), [Cubic(), Cubic()])
    stage = GridStage(pyramid, AreaAverage(), grid_of_scale(source.shape, 3.3))
    window = Window(0, 0, 40, 50)
    before = stage.read(window)
    stage.forget()
    assert np.array_equal(stage.read(window), before)
