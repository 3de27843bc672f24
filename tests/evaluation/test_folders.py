"""Folders of pairs: matched by name, kept in a table, and gone on with."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from tests.metrics.test_lpips import made_up
from tests.metrics.test_niqe import photograph
from tests.scene.conftest import Writer, raster
from ultrares.errors import InputError, OptionError, OutputError
from ultrares.evaluation import folders
from ultrares.evaluation.files import evaluate
from ultrares.evaluation.folders import FolderScores
from ultrares.evaluation.rasters import evaluate_rasters
from ultrares.metrics import score

__all__ = ["made_up", "raster"]


@pytest.fixture
def images() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Results and truths by name."""
    rng = np.random.default_rng(3)
    found = {}
    for seed, name in enumerate(("a", "b", "c")):
        truth = photograph(seed, 72, 80)
        noise = rng.normal(0, 5 + 5 * seed, size=truth.shape)
        found[name] = np.clip(truth + noise, 0, 255).round().astype(np.uint8), truth
    return found


@pytest.fixture
def pairs(images, raster: Writer, tmp_path: Path) -> tuple[Path, Path]:
    """The same as folders of files, under endings that differ."""
    for folder in ("sr", "hr"):
        (tmp_path / folder).mkdir()
    for name, (estimate, truth) in images.items():
        raster(estimate, f"sr/{name}.tif")
        raster(truth, f"hr/{name}.tiff")
    return tmp_path / "sr", tmp_path / "hr"


def evaluated(*arguments, **options) -> FolderScores:
    found = evaluate(*arguments, **options)
    assert isinstance(found, FolderScores)
    return found


def test_each_image_and_their_means(images, pairs: tuple[Path, Path]) -> None:
    found = evaluated(*pairs)
    expected = {name: score(*image) for name, image in images.items()}
    assert [row.name for row in found.rows] == ["a", "b", "c"]
    for row in found.rows:
        own = {name: expected[row.name][name] for name in row.values}
        assert row.values == pytest.approx(own, rel=1e-9)
    mean = np.mean([scores["ssim"] for scores in expected.values()])
    assert found.means["ssim"] == pytest.approx(mean, rel=1e-12)
    assert found.counts["ssim"] == 3
    assert set(found.definitions) == set(found.means)


def test_a_stopped_run_goes_on(
    pairs: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "table.csv"
    compared = []
    real = evaluate_rasters

    def stopping(estimate: Path, *rest, **options):
        compared.append(estimate.stem)
        if len(compared) == 3:
            raise KeyboardInterrupt
        return real(estimate, *rest, **options)

    monkeypatch.setattr(folders, "evaluate_rasters", stopping)
    with pytest.raises(KeyboardInterrupt):
        evaluate(*pairs, csv=table)
    with table.open("a") as file:
        file.write("c,half a li")
    resumed = evaluated(*pairs, csv=table)
    assert compared == ["a", "b", "c", "c"]
    again = evaluated(*pairs, csv=table)
    assert compared == ["a", "b", "c", "c"]
    whole = evaluated(*pairs)
    assert resumed.means == again.means == whole.means
    lines = list(csv.DictReader(table.read_text().splitlines()))
    assert [line["name"] for line in lines] == ["a", "b", "c"]
    assert float(lines[2]["psnr"]) == whole.rows[2].values["psnr"]


def test_a_file_that_has_changed_is_compared_again(
    images, pairs: tuple[Path, Path], tmp_path: Path, raster: Writer
) -> None:
    table = tmp_path / "table.csv"
    before = evaluated(*pairs, metrics=["psnr"], csv=table)
    raster(images["b"][1], "sr/b.tif", compress="deflate")
    after = evaluated(*pairs, metrics=["psnr"], csv=table)
    assert after.rows[1].values["psnr"] == float("inf")
    assert after.rows[0] == before.rows[0]


def test_a_table_of_other_settings_is_left_alone(pairs: tuple[Path, Path], tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    evaluate(*pairs, metrics=["psnr"], csv=table)
    with pytest.raises(OutputError, match="no table of these metrics"):
        evaluate(*pairs, metrics=["ssim"], csv=table)
    with pytest.raises(OutputError, match="other settings"):
        evaluate(*pairs, metrics=["psnr"], peak=100, csv=table)
    table.write_text(table.read_text().replace(",5760,", ",many,"))
    with pytest.raises(OutputError, match="no row of figures"):
        evaluate(*pairs, metrics=["psnr"], csv=table)


def test_a_pair_that_does_not_fit_stops_no_other(
    pairs: tuple[Path, Path], raster: Writer, tmp_path: Path
) -> None:
    table = tmp_path / "table.csv"
    raster(photograph(1, 40, 80), "sr/b.tif")
    found = evaluated(*pairs, metrics=["psnr"], csv=table)
    (problem,) = found.problems
    assert problem.startswith("b: ")
    assert "80 x 40" in problem
    assert found.counts == {"psnr": 2}
    assert evaluated(*pairs, metrics=["psnr"], csv=table).problems == (problem,)
    for name in "ac":
        raster(photograph(1, 40, 80), f"sr/{name}.tif")
    with pytest.raises(InputError, match="80 x 40"):
        evaluate(*pairs, metrics=["psnr"])


def test_images_without_counterpart_are_named(pairs: tuple[Path, Path], raster: Writer) -> None:
    raster(photograph(1, 40, 80), "sr/d.tif")
    (pairs[1] / "a.tiff").unlink()
    found = evaluated(*pairs, metrics=["psnr"])
    assert [row.name for row in found.rows] == ["b", "c"]
    assert "2 of" in found.notes[0]
    assert found.notes[0].endswith(": a, d")
    raster(photograph(1, 40, 80), "sr/d.png", driver="PNG")
    with pytest.raises(InputError, match="names without endings must differ"):
        evaluate(*pairs)
    with pytest.raises(InputError, match="holds no image"):
        evaluate(pairs[0].parent, pairs[1])
    with pytest.raises(InputError, match="is no folder"):
        evaluate(pairs[1], pairs[1] / "b.tiff")


def test_distances_of_sets_name_their_extractor(pairs: tuple[Path, Path], made_up: Path) -> None:
    found = evaluated(*pairs, metrics=["fid", "kid"], weights=made_up)
    assert set(found.sets) == {"fid[alexnet]", "kid[alexnet]"}
    assert found.sets["fid[alexnet]"] > 0
    assert "alexnet features" in found.definitions["fid[alexnet]"]
    assert any("biased upwards" in note for note in found.notes)
    same = evaluated(pairs[1], pairs[1], metrics=["fid", "psnr"], weights=made_up)
    assert same.sets == {"fid[alexnet]": pytest.approx(0, abs=1e-6)}
    assert same.means == {"psnr": float("inf")}
    with pytest.raises(OptionError, match="fid needs a network"):
        evaluate(*pairs, metrics=["fid"])
