"""A plan says what comes true, and what cannot fit is refused before any work."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ultrares
from tests.scene.conftest import UTM, Writer
from ultrares import Model, planning
from ultrares.cli.app import main
from ultrares.errors import OptionError, OutputError
from ultrares.methods.cascade import CascadeLevel
from ultrares.planning import stages_of
from ultrares.reports import PlanReport
from ultrares.run import Inputs, Options, Run
from ultrares.scene.grid_choice import Wanted

RNG = np.random.default_rng(0)


@pytest.fixture
def smooth(raster: Writer) -> Path:
    """Two bands of hills, half of them without data."""
    rows, cols = np.mgrid[:600, :640] / 40
    hills = 1000 + 400 * np.sin(rows + np.sin(cols)) + RNG.normal(0, 15, (2, 600, 640))
    hills[:, :, 320:] = 0
    return raster(hills.astype(np.uint16), nodata=0, tiled=True)


def test_a_plan_is_what_is_made(smooth: Path, bicubic: Model) -> None:
    target = smooth.with_name("out.tif")
    plan = ultrares.plan_scene(smooth, target, scale=2, model=bicubic, measure=False)
    report = ultrares.upscale_scene(smooth, target, scale=2, model=bicubic)
    assert (plan.width, plan.height) == (report.width, report.height)
    assert (plan.bands, plan.dtype, plan.scale) == (2, "uint16", 2)
    assert (plan.tile, plan.tiles) == (512, 3 * 3)
    assert plan.hours is None
    # Not less than it takes, and not wildly more.
    assert target.stat().st_size <= plan.product_bytes <= 2.5 * target.stat().st_size
    assert plan.fits
    assert not list(smooth.parent.glob(".*"))


def test_what_is_empty_takes_next_to_nothing(smooth: Path, bicubic: Model) -> None:
    def size(aoi: tuple[int, int]) -> int:
        left, right = (301_234.5 + 28.5 * col for col in aoi)
        bounds = (left, 9_112_345.25 - 28.5 * 600, right, 9_112_345.25)
        plan = ultrares.plan_scene(smooth, scale=2, model=bicubic, aoi=bounds, measure=False)
        return plan.product_bytes

    assert size((330, 640)) == 0
    assert size((0, 310)) > 1_000_000


def test_the_fusion_of_a_reference_is_counted_in(
    guided: Model, raster: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    coarse = RNG.integers(40, 215, (3, 100, 120)).astype(np.uint8)
    scene = raster(coarse, "coarse.tif")
    fine = raster(coarse.repeat(8, 1).repeat(8, 2), "fine.tif", transform=UTM @ UTM.scale(1 / 8))

    def plan(**options: Any) -> PlanReport:
        return ultrares.plan_scene(scene, scale=8, model=guided, **options)

    monkeypatch.setattr(planning, "seconds_of_fusion", lambda *_: 3600.0)
    measured = plan(reference=fine)
    # Cells of 768 pixels, of 800 x 960.
    assert measured.hours is not None
    assert 4 < measured.hours < 5
    monkeypatch.setattr(planning, "BYTES_PER_FUSED_PIXEL", 10**6)
    assert plan(reference=fine, measure=False).memory_bytes > measured.memory_bytes + 5e11
    assert plan(measure=False).memory_bytes < measured.memory_bytes + 1e9


@pytest.mark.parametrize("options", [{"scale": 4}, {"scale": 3}, {"scale": 2.5}])
def test_time_is_measured(scene: Path, tiny: Model, options: dict[str, Any]) -> None:
    plan = ultrares.plan_scene(scene, model=tiny, mode="perceptual", draws=2, steps=1, **options)
    assert plan.hours is not None
    assert plan.megapixels_per_second is not None
    assert 0 < plan.hours < 1
    pixels = plan.width * plan.height
    assert plan.megapixels_per_second == pytest.approx(pixels / 1e6 / (3600 * plan.hours))


def test_the_cells_that_are_counted_are_those_that_are_computed(
    raster: Writer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the last level; a level below also makes cells around an area of interest."""
    path = raster(RNG.integers(0, 255, (1, 140, 300)).astype(np.uint8))
    model = ultrares.load(folder, precision="fp32")
    seen: list[tuple[int, tuple[int, int]]] = []
    call = CascadeLevel.__call__

    def counted(level: CascadeLevel, cell: Any) -> Any:
        seen.append((level.level, tuple(cell.image.shape[-2:])))
        return call(level, cell)

    monkeypatch.setattr(CascadeLevel, "__call__", counted)
    ultrares.upscale_scene(path, path.with_name("out.tif"), scale=4, model=model)
    with ExitStack() as stack:
        run = Run(stack, Inputs(path), model, Options("test", Wanted(4)))
        for number, stage in enumerate(stages_of(run)):
            shapes = [shape for level, shape in seen if level == number]
            assert stage.cells == len(shapes)
            assert max(rows for rows, _ in shapes) <= stage.window.height
            assert max(cols for _, cols in shapes) <= stage.window.width


def test_memory_is_refused_with_the_figure(
    scene: Path, bicubic: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = scene.with_name("out.tif")
    monkeypatch.setattr("ultrares.planning.available_memory", lambda: 10**8)
    with pytest.raises(OptionError, match=r"needs \d\.\d GB of memory, and 0\.1 GB are available"):
        ultrares.upscale_scene(scene, target, scale=4, model=bicubic)
    plan = ultrares.plan_scene(scene, target, scale=4, model=bicubic, measure=False)
    assert (plan.fits, plan.lacks_memory, plan.lacks_disk) == (False, True, False)
    with pytest.raises(
        OptionError, match=r"needs \d+\.\d GB of memory, and 1\.0 GB are allowed by"
    ):
        ultrares.upscale_scene(scene, target, scale=128, tile=16384, model=bicubic, memory="1GB")
    assert list(scene.parent.iterdir()) == [scene]


def test_the_disk_is_refused_with_the_figure(
    scene: Path, bicubic: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ultrares.planning.free_disk", lambda _: 1000)
    sentence = r"needs 0\.\d MB in .* of which 0\.\d MB stay, and 0\.0 MB are free"
    with pytest.raises(OutputError, match=sentence):
        ultrares.upscale_scene(scene, scene.with_name("out.tif"), scale=4, model=bicubic)
    assert list(scene.parent.iterdir()) == [scene]


def test_finished_tiles_need_no_room_again(
    scene: Path, bicubic: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = scene.with_name("out.tif")

    def stop(*_: int) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        ultrares.upscale_scene(scene, target, scale=4, tile=48, model=bicubic, progress=stop)
    monkeypatch.setattr("ultrares.planning.free_disk", lambda _: 1000)
    plan = ultrares.plan_scene(scene, target, scale=4, model=bicubic, measure=False)
    assert plan.disk_free_bytes > 1000


def test_more_draws_and_tiles_need_more_memory(scene: Path, tiny: Model) -> None:
    def memory(**options: Any) -> int:
        return ultrares.plan_scene(
            scene, scale=16, model=tiny, mode="perceptual", measure=False, **options
        ).memory_bytes

    assert memory(draws=1) < memory(draws=4) < memory(draws=16)
    assert memory(tile=64) < memory(tile=256)


@pytest.mark.parametrize("room", [10**12, 1000])
def test_the_command_exits_2_where_it_does_not_fit(
    scene: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    monkeypatch.setattr("ultrares.planning.free_disk", lambda _: room)
    monkeypatch.setattr("ultrares.planning.available_memory", lambda: 10**12)
    with pytest.raises(SystemExit) as stop:
        main(
            [
                "plan",
                str(scene),
                str(scene.with_name("out.tif")),
                "--scale",
                "4",
                "--model",
                "bicubic",
            ]
        )
    said = capsys.readouterr().out.splitlines()
    assert "120 x 96 px, 3 bands uint8, x4" in said[0]
    if room == 1000:
        assert stop.value.code == 2
        assert said[-1] == "does not fit: not enough disk"
    else:
        assert not stop.value.code
        assert said[-1] == "fits"
